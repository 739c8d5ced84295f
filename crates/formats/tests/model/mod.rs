//! A model of Avro schemas and values for property tests: generated, written with any block layout,
//! edited by path. It shares no code with the crate.

use proptest::collection::vec;
use proptest::prelude::*;

/// A type.
#[derive(Clone, Debug)]
pub(crate) enum Ty {
    Null,
    Bool,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Str,
    Fixed(usize),
    Enum(usize),
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record(Vec<(String, Ty)>),
    Union(Vec<Ty>),
}

/// A value; arrays and maps as blocks, each sized (written with a negative count) or not.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    Str(String),
    Fixed(Vec<u8>),
    Enum(usize),
    Array(Vec<(bool, Vec<Val>)>),
    Map(Vec<(bool, Vec<(String, Val)>)>),
    Record(Vec<Val>),
    Union(usize, Box<Val>),
}

fn field(position: usize) -> String {
    format!("f{position}")
}

fn leaf() -> impl Strategy<Value = Ty> {
    prop_oneof![
        1 => Just(Ty::Null),
        1 => Just(Ty::Bool),
        1 => Just(Ty::Int),
        1 => Just(Ty::Long),
        1 => Just(Ty::Float),
        1 => Just(Ty::Double),
        1 => Just(Ty::Bytes),
        4 => Just(Ty::Str),
        1 => (1..5_usize).prop_map(Ty::Fixed),
        1 => (1..4_usize).prop_map(Ty::Enum),
    ]
}

fn record(fields: Vec<Ty>) -> Ty {
    Ty::Record(
        fields
            .into_iter()
            .enumerate()
            .map(|(i, ty)| (field(i), ty))
            .collect(),
    )
}

/// Types of which no two could be taken for one another in plain JSON.
fn union(inner: Ty, with_null: bool, null_first: bool, others: usize) -> Ty {
    let inner = match inner {
        Ty::Union(_) | Ty::Null => Ty::Str,
        other => other,
    };
    let mut branches = vec![inner];
    if others > 0 && !matches!(branches[0], Ty::Record(_) | Ty::Map(_)) {
        branches.push(Ty::Record(vec![
            ("only_here".into(), Ty::Str),
            ("f0".into(), Ty::Long),
        ]));
        if others > 1 {
            branches.push(Ty::Record(vec![
                ("f0".into(), Ty::Str),
                ("only_there".into(), Ty::Int),
            ]));
        }
    }
    if with_null || branches.len() == 1 {
        let at = if null_first { 0 } else { branches.len() };
        branches.insert(at, Ty::Null);
    }
    Ty::Union(branches)
}

/// Any record type.
pub(crate) fn schema() -> impl Strategy<Value = Ty> {
    let inner = leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|ty| Ty::Array(Box::new(ty))),
            2 => inner.clone().prop_map(|ty| Ty::Map(Box::new(ty))),
            3 => vec(inner.clone(), 1..4).prop_map(record),
            4 => (inner, any::<bool>(), any::<bool>(), 0..3_usize)
                .prop_map(|(ty, with_null, first, others)| union(ty, with_null, first, others)),
        ]
    });
    vec(inner, 1..5).prop_map(record)
}

/// Texts with quotes, backslashes, controls and characters of one to four bytes.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        1 => proptest::sample::select(vec!['"', '\\', '/', '\n', '\u{1}', 'ü', '漢', '😀', '\u{7f}']),
    ];
    prop_oneof![
        6 => vec(c.clone(), 0..8).prop_map(String::from_iter),
        1 => vec(c, 60..200).prop_map(String::from_iter),
    ]
}

const KEYS: [&str; 3] = ["k0", "k1", "ключ"];

/// Any value of the type.
pub(crate) fn value(ty: &Ty) -> BoxedStrategy<Val> {
    match ty {
        Ty::Null => Just(Val::Null).boxed(),
        Ty::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Ty::Int => any::<i32>().prop_map(|v| Val::Int(v.into())).boxed(),
        Ty::Long => any::<i64>().prop_map(Val::Int).boxed(),
        Ty::Float => any::<f32>().prop_map(Val::Float).boxed(),
        Ty::Double => any::<f64>().prop_map(Val::Double).boxed(),
        Ty::Bytes => vec(any::<u8>(), 0..6).prop_map(Val::Bytes).boxed(),
        Ty::Str => text().prop_map(Val::Str).boxed(),
        Ty::Fixed(size) => vec(any::<u8>(), *size).prop_map(Val::Fixed).boxed(),
        Ty::Enum(count) => (0..*count).prop_map(Val::Enum).boxed(),
        Ty::Array(item) => vec((any::<bool>(), vec(value(item), 1..4)), 0..3)
            .prop_map(Val::Array)
            .boxed(),
        Ty::Map(item) => (
            vec(value(item), KEYS.len()),
            0..=KEYS.len(),
            any::<[bool; 2]>(),
            0..4_usize,
        )
            .prop_map(|(values, count, sized, cut)| {
                let mut members: Vec<(String, Val)> = KEYS
                    .iter()
                    .map(|key| (*key).to_owned())
                    .zip(values)
                    .take(count)
                    .collect();
                let rest = members.split_off(cut.min(members.len()));
                let blocks = [(sized[0], members), (sized[1], rest)];
                Val::Map(
                    blocks
                        .into_iter()
                        .filter(|(_, block)| !block.is_empty())
                        .collect(),
                )
            })
            .boxed(),
        Ty::Record(fields) => fields
            .iter()
            .map(|(_, ty)| value(ty))
            .collect::<Vec<_>>()
            .prop_map(Val::Record)
            .boxed(),
        Ty::Union(branches) => {
            let branches = branches.clone();
            (0..branches.len())
                .prop_flat_map(move |index| {
                    value(&branches[index]).prop_map(move |v| Val::Union(index, Box::new(v)))
                })
                .boxed()
        }
    }
}

/// The schema as its JSON text.
pub(crate) fn schema_text(ty: &Ty) -> String {
    let mut names = 0;
    render(ty, &mut names).to_string()
}

fn render(ty: &Ty, names: &mut usize) -> serde_json::Value {
    use serde_json::json;
    let mut name = |kind: &str| {
        *names += 1;
        format!("{kind}{names}")
    };
    match ty {
        Ty::Null => json!("null"),
        Ty::Bool => json!("boolean"),
        Ty::Int => json!("int"),
        Ty::Long => json!("long"),
        Ty::Float => json!("float"),
        Ty::Double => json!("double"),
        Ty::Bytes => json!("bytes"),
        Ty::Str => json!("string"),
        Ty::Fixed(size) => json!({"type": "fixed", "name": name("Fixed"), "size": size}),
        Ty::Enum(count) => {
            let symbols: Vec<String> = (0..*count).map(|i| format!("S{i}")).collect();
            json!({"type": "enum", "name": name("Enum"), "symbols": symbols})
        }
        Ty::Array(item) => json!({"type": "array", "items": render(item, names)}),
        Ty::Map(item) => json!({"type": "map", "values": render(item, names)}),
        Ty::Record(fields) => {
            let name = name("Record");
            let fields: Vec<_> = fields
                .iter()
                .map(|(field, ty)| json!({"name": field, "type": render(ty, names)}))
                .collect();
            json!({"type": "record", "name": name, "namespace": "generated.model", "fields": fields})
        }
        Ty::Union(branches) => branches.iter().map(|ty| render(ty, names)).collect(),
    }
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut zigzag = (value as u64) << 1;
    if value < 0 {
        zigzag = !zigzag;
    }
    loop {
        let byte = (zigzag % 128) as u8;
        zigzag /= 128;
        if zigzag == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 128);
    }
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

fn block(sized: bool, count: usize, items: &[u8], out: &mut Vec<u8>) {
    if sized {
        long(-(count as i64), out);
        long(items.len() as i64, out);
    } else {
        long(count as i64, out);
    }
    out.extend_from_slice(items);
}

/// Writes a value with its blocks as they are.
pub(crate) fn encode(value: &Val, out: &mut Vec<u8>) {
    match value {
        Val::Null => {}
        Val::Bool(value) => out.push((*value).into()),
        Val::Int(value) => long(*value, out),
        Val::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
        Val::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
        Val::Bytes(value) => bytes(value, out),
        Val::Str(value) => bytes(value.as_bytes(), out),
        Val::Fixed(value) => out.extend_from_slice(value),
        Val::Enum(index) => long(*index as i64, out),
        Val::Array(blocks) => {
            for (sized, items) in blocks {
                let mut inner = Vec::new();
                items.iter().for_each(|item| encode(item, &mut inner));
                block(*sized, items.len(), &inner, out);
            }
            out.push(0);
        }
        Val::Map(blocks) => {
            for (sized, members) in blocks {
                let mut inner = Vec::new();
                for (key, item) in members {
                    bytes(key.as_bytes(), &mut inner);
                    encode(item, &mut inner);
                }
                block(*sized, members.len(), &inner, out);
            }
            out.push(0);
        }
        Val::Record(fields) => fields.iter().for_each(|field| encode(field, out)),
        Val::Union(index, value) => {
            long(*index as i64, out);
            encode(value, out);
        }
    }
}

/// The value with all items of each array and map in one block that is not sized.
pub(crate) fn one_block(value: &Val) -> Val {
    match value {
        Val::Array(blocks) => {
            let items: Vec<Val> = blocks
                .iter()
                .flat_map(|(_, items)| items.iter().map(one_block))
                .collect();
            Val::Array(if items.is_empty() {
                vec![]
            } else {
                vec![(false, items)]
            })
        }
        Val::Map(blocks) => {
            let members: Vec<(String, Val)> = blocks
                .iter()
                .flat_map(|(_, members)| members.iter().map(|(k, v)| (k.clone(), one_block(v))))
                .collect();
            Val::Map(if members.is_empty() {
                vec![]
            } else {
                vec![(false, members)]
            })
        }
        Val::Record(fields) => Val::Record(fields.iter().map(one_block).collect()),
        Val::Union(index, value) => Val::Union(*index, Box::new(one_block(value))),
        other => other.clone(),
    }
}

/// All paths to values that are no containers.
pub(crate) fn leaf_paths(ty: &Ty) -> Vec<Vec<String>> {
    fn collect(ty: &Ty, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
        match ty {
            Ty::Array(item) => collect(item, path, paths),
            Ty::Map(item) => {
                path.push("k1".to_owned());
                collect(item, path, paths);
                path.pop();
            }
            Ty::Record(fields) => {
                for (name, ty) in fields {
                    path.push(name.clone());
                    collect(ty, path, paths);
                    path.pop();
                }
            }
            Ty::Union(branches) => {
                let containers = |ty: &Ty| matches!(ty, Ty::Record(_) | Ty::Map(_) | Ty::Array(_));
                for branch in branches.iter().filter(|branch| containers(branch)) {
                    collect(branch, path, paths);
                }
                // A union that may hold a record is not offered whole: the record's fields are.
                if !branches.iter().any(containers) && !paths.contains(path) {
                    paths.push(path.clone());
                }
            }
            _ if !paths.contains(path) => paths.push(path.clone()),
            _ => {}
        }
    }
    let mut paths = Vec::new();
    collect(ty, &mut Vec::new(), &mut paths);
    // A path to a union of an array and a record ends in the one and runs through the other.
    let whole = paths.clone();
    paths.retain(|path| {
        !whole
            .iter()
            .any(|p| p.len() > path.len() && p.starts_with(path))
    });
    paths
}

/// Calls `edit` with the declared type and value of each occurrence of a path, in order.
pub(crate) fn visit(
    ty: &Ty,
    value: &mut Val,
    path: &[String],
    edit: &mut dyn FnMut(&Ty, &mut Val),
) {
    match (ty, value) {
        (Ty::Array(item), Val::Array(blocks)) => {
            for (_, items) in blocks {
                items
                    .iter_mut()
                    .for_each(|value| visit(item, value, path, edit));
            }
        }
        (Ty::Union(branches), Val::Union(index, inner))
            if !path.is_empty() || matches!(**inner, Val::Array(_)) =>
        {
            visit(&branches[*index], inner, path, edit);
        }
        (ty, value) if path.is_empty() => edit(ty, value),
        (Ty::Map(item), Val::Map(blocks)) => {
            for (key, value) in blocks.iter_mut().flat_map(|(_, members)| members) {
                if *key == path[0] {
                    visit(item, value, &path[1..], edit);
                }
            }
        }
        (Ty::Record(fields), Val::Record(values)) => {
            for ((name, ty), value) in fields.iter().zip(values) {
                if *name == path[0] {
                    visit(ty, value, &path[1..], edit);
                }
            }
        }
        _ => {}
    }
}
