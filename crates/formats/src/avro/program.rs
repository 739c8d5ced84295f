//! Compiles a schema and a set of paths into a program of what to visit and what to skip.

use std::collections::HashMap;
use std::sync::Arc;

use super::types::{Kind, Logical, NodeId, Types};
use crate::error::PathError;
use crate::fields::{FieldType, ScalarKind};
use crate::path::FieldPath;
use crate::trie::{self, Trie, TrieId};

/// Index of a state in a [`Program`].
pub(crate) type StateId = u32;

/// What to do at each (type, place among the paths) that a walk can come to.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) types: Arc<Types>,
    pub(crate) states: Vec<State>,
    pub(crate) root: StateId,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) node: NodeId,
    /// Paths that end here. Arrays pass them on to their items.
    pub(crate) paths: Box<[u32]>,
    pub(crate) op: Op,
}

#[derive(Debug)]
pub(crate) enum Op {
    /// Nothing below is wanted.
    Skip,
    /// One step per field; none after `last` is a visit.
    Record {
        steps: Box<[Step]>,
        last: usize,
    },
    Array(StateId),
    /// Wanted keys, and the type of the values.
    Map {
        wanted: Box<[(Box<str>, StateId)]>,
        value: NodeId,
    },
    /// One per branch; `None` where nothing is wanted.
    Union(Box<[Option<StateId>]>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Skip(NodeId),
    Visit(StateId),
}

impl Program {
    /// Compiles the paths; also says what the schema declares at each.
    pub(crate) fn compile(
        types: &Arc<Types>,
        paths: &[FieldPath],
    ) -> Result<(Self, Box<[FieldType]>), PathError> {
        let trie = Trie::new(paths);
        let mut compiler = Compiler {
            types,
            reached: vec![false; trie.len()],
            missed: HashMap::new(),
            declared: vec![None; paths.len()],
            states: Vec::new(),
            known: HashMap::new(),
            trie: &trie,
        };
        let root = compiler.state(types.root(), trie::ROOT, false);
        for path in paths {
            compiler.check(path)?;
        }
        let declared = compiler
            .declared
            .iter()
            .map(|kind| kind.unwrap_or(UNKNOWN))
            .collect();
        Ok((
            Self {
                types: Arc::clone(types),
                states: compiler.states,
                root,
            },
            declared,
        ))
    }
}

const UNKNOWN: FieldType = FieldType {
    nullable: false,
    list: false,
    scalar: ScalarKind::Any,
    takes_any_text: false,
};

/// Where a segment was looked for in vain.
enum Miss {
    Record(NodeId),
    Scalar(NodeId),
}

struct Compiler<'c> {
    types: &'c Types,
    trie: &'c Trie,
    reached: Vec<bool>,
    missed: HashMap<TrieId, Miss>,
    declared: Vec<Option<FieldType>>,
    states: Vec<State>,
    known: HashMap<(NodeId, TrieId, bool), StateId>,
}

impl Compiler<'_> {
    /// The state of a type at a place among the paths. `list`: the way there runs through an array.
    fn state(&mut self, node: NodeId, at: TrieId, list: bool) -> StateId {
        if let Some(known) = self.known.get(&(node, at, list)) {
            return *known;
        }
        let id = self.states.len() as StateId;
        self.known.insert((node, at, list), id);
        let wanted = self.trie.node(at);
        let paths: Box<[u32]> = wanted.paths.iter().copied().collect();
        self.states.push(State {
            node,
            paths,
            op: Op::Skip,
        });
        let op = match self.types.kind(node) {
            Kind::Array(item) => Op::Array(self.state(*item, at, true)),
            Kind::Union(branches) => Op::Union(
                branches
                    .iter()
                    .map(|branch| self.branch(*branch, at, list))
                    .collect(),
            ),
            _ if wanted.children.is_empty() => Op::Skip,
            Kind::Map(value) => {
                let wanted = wanted
                    .children
                    .iter()
                    .map(|(key, child)| (key.clone(), self.field(*value, *child, list)))
                    .collect();
                Op::Map {
                    wanted,
                    value: *value,
                }
            }
            Kind::Record(record) => {
                let mut steps: Box<[Step]> = record
                    .fields
                    .iter()
                    .map(|field| Step::Skip(field.node))
                    .collect();
                let mut last = None;
                for (name, child) in &wanted.children {
                    match record.position(name) {
                        Some(position) => {
                            let field = record.fields[position].node;
                            steps[position] = Step::Visit(self.field(field, *child, list));
                            last = last.max(Some(position));
                        }
                        None => {
                            self.missed.insert(*child, Miss::Record(node));
                        }
                    }
                }
                last.map_or(Op::Skip, |last| Op::Record { steps, last })
            }
            Kind::Null => Op::Skip,
            _ => {
                for (_, child) in &wanted.children {
                    self.missed.entry(*child).or_insert(Miss::Scalar(node));
                }
                Op::Skip
            }
        };
        self.states[id as usize].op = op;
        id
    }

    fn branch(&mut self, branch: NodeId, at: TrieId, list: bool) -> Option<StateId> {
        let leaf = !self.trie.node(at).paths.is_empty();
        let container = matches!(
            self.types.kind(branch),
            Kind::Record(_) | Kind::Map(_) | Kind::Array(_)
        );
        if leaf || container {
            return Some(self.state(branch, at, list));
        }
        if !matches!(self.types.kind(branch), Kind::Null) {
            for (_, child) in &self.trie.node(at).children {
                self.missed.entry(*child).or_insert(Miss::Scalar(branch));
            }
        }
        None
    }

    /// The state of a record's field or a map's value: here a segment was found.
    fn field(&mut self, node: NodeId, at: TrieId, list: bool) -> StateId {
        self.reached[at as usize] = true;
        let declared = declared(self.types, node, list);
        for path in &self.trie.node(at).paths {
            let known = &mut self.declared[*path as usize];
            *known = Some(known.map_or(declared, |known| FieldType {
                nullable: known.nullable || declared.nullable,
                list: known.list || declared.list,
                scalar: if known.scalar == declared.scalar {
                    known.scalar
                } else {
                    ScalarKind::Any
                },
                takes_any_text: known.takes_any_text && declared.takes_any_text,
            }));
        }
        self.state(node, at, list)
    }

    fn check(&self, path: &FieldPath) -> Result<(), PathError> {
        let mut at = trie::ROOT;
        for segment in path.segments() {
            let Some(child) = self.trie.child(at, segment) else {
                break;
            };
            at = child;
            if self.reached[at as usize] {
                continue;
            }
            let (path, segment) = (path.clone(), segment.to_owned());
            return Err(match self.missed.get(&at) {
                Some(Miss::Record(node)) => {
                    let names = match self.types.kind(*node) {
                        Kind::Record(record) => record.fields.iter().map(|f| &*f.name).collect(),
                        _ => Vec::new(),
                    };
                    PathError::Unknown {
                        near: trie::near(&segment, names.into_iter()),
                        holder: self.types.describe(*node),
                        path,
                        segment,
                    }
                }
                Some(Miss::Scalar(node)) => PathError::NotARecord {
                    path,
                    segment,
                    holder: self.types.describe(*node),
                },
                None => PathError::NotARecord {
                    path,
                    segment,
                    holder: self.types.describe(self.types.root()),
                },
            });
        }
        Ok(())
    }
}

/// What a type declares for a path that ends there.
fn declared(types: &Types, id: NodeId, list: bool) -> FieldType {
    let node = types.node(id);
    let of = |scalar, takes_any_text| FieldType {
        nullable: false,
        list,
        scalar,
        takes_any_text,
    };
    match (&node.kind, node.logical) {
        (_, Logical::Decimal { .. } | Logical::BigDecimal) => of(ScalarKind::Number, false),
        (_, Logical::Uuid) => of(ScalarKind::String, false),
        (Kind::Null, _) => FieldType {
            nullable: true,
            ..of(ScalarKind::Any, false)
        },
        (Kind::Boolean, _) => of(ScalarKind::Boolean, false),
        (Kind::Int | Kind::Long, _) => of(ScalarKind::Integer, false),
        (Kind::Float | Kind::Double, _) => of(ScalarKind::Number, false),
        (Kind::Bytes | Kind::Fixed { .. }, _) => of(ScalarKind::Bytes, false),
        (Kind::String, _) => of(ScalarKind::String, true),
        (Kind::Enum { .. }, _) => of(ScalarKind::String, false),
        (Kind::Record(_) | Kind::Map(_), _) => of(ScalarKind::Object, false),
        (Kind::Array(item), _) => declared(types, *item, true),
        (Kind::Union(branches), _) => {
            let mut sum: Option<FieldType> = None;
            let mut nullable = false;
            for branch in branches {
                let one = declared(types, *branch, list);
                nullable |= one.nullable;
                if matches!(types.kind(*branch), Kind::Null) {
                    continue;
                }
                sum = Some(sum.map_or(one, |sum| FieldType {
                    nullable: sum.nullable || one.nullable,
                    list: sum.list || one.list,
                    scalar: if sum.scalar == one.scalar {
                        sum.scalar
                    } else {
                        ScalarKind::Any
                    },
                    takes_any_text: sum.takes_any_text || one.takes_any_text,
                }));
            }
            FieldType {
                nullable,
                ..sum.unwrap_or(of(ScalarKind::Any, false))
            }
        }
    }
}
