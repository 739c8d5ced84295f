//! What a JSON Schema says of its events' structure, as a tree, for those who lay events out in
//! columns.

use serde_json::Value as Json;

use super::scalar::JsonTypes;
use super::shape::{Document, Lookup, Shape, Sub};

/// Values that a tree may have; beyond that nothing is said any more.
const MAX_VALUES: usize = 100_000;

/// What is said of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Null may stand there.
    pub nullable: bool,
    /// What else may.
    pub kind: Kind,
}

/// The one type that a value has, null aside.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `boolean`.
    Boolean,
    /// `integer`.
    Integer,
    /// `number`.
    Number,
    /// `string`.
    String,
    /// `array` whose elements are all of one kind.
    Array(Box<Outline>),
    /// `object` with these properties, in order. Others are not declared.
    Object(Vec<Property>),
    /// Several types, an object open to names of any kind, a schema that contains itself, or nothing
    /// is said.
    Any,
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// It must be there.
    pub required: bool,
    /// What is said of its value.
    pub value: Outline,
}

impl Outline {
    /// Nothing is said.
    pub const ANY: Self = Self {
        nullable: true,
        kind: Kind::Any,
    };
}

impl<'r> Document<'r> {
    /// What the schema says of an event.
    pub(crate) fn outline(&self) -> Outline {
        let root = Sub {
            json: self.root,
            base: self.base.clone(),
        };
        let shape = self.expand(root, &mut Vec::new());
        self.outline_of(shape, &mut Vec::new(), &mut 0)
    }

    /// `around`: the objects and arrays that this stands in.
    fn outline_of(
        &self,
        shape: Shape<'r>,
        around: &mut Vec<&'r Json>,
        count: &mut usize,
    ) -> Outline {
        *count += 1;
        if *count > MAX_VALUES {
            return Outline::ANY;
        }
        let types = self.types(&shape);
        let kind = match types.without(JsonTypes::NULL) {
            JsonTypes::BOOLEAN => Kind::Boolean,
            JsonTypes::INTEGER => Kind::Integer,
            JsonTypes::NUMBER => Kind::Number,
            JsonTypes::STRING => Kind::String,
            container @ (JsonTypes::ARRAY | JsonTypes::OBJECT) => match self.applicable(shape) {
                Some(subs)
                    if !subs
                        .iter()
                        .any(|sub| around.iter().any(|outer| std::ptr::eq(*outer, sub.json))) =>
                {
                    let depth = around.len();
                    around.extend(subs.iter().map(|sub| sub.json));
                    let kind = if container == JsonTypes::ARRAY {
                        self.array(&subs, around, count)
                    } else {
                        self.object(&subs, around, count)
                    };
                    around.truncate(depth);
                    kind.unwrap_or(Kind::Any)
                }
                _ => Kind::Any,
            },
            _ => Kind::Any,
        };
        Outline {
            nullable: types.includes(JsonTypes::NULL),
            kind,
        }
    }

    /// The subschemas that all apply to a value that is not null; `None` if there is a choice.
    fn applicable(&self, shape: Shape<'r>) -> Option<Vec<Sub<'r>>> {
        match shape {
            Shape::Open => Some(Vec::new()),
            Shape::One(sub) => Some(vec![sub]),
            Shape::All(shapes) => {
                let mut all = Vec::new();
                for shape in shapes {
                    all.extend(self.applicable(shape)?);
                }
                Some(all)
            }
            Shape::Any(shapes) if shapes.iter().any(|shape| matches!(shape, Shape::Open)) => {
                Some(Vec::new())
            }
            Shape::Any(shapes) => {
                let mut branches = shapes
                    .into_iter()
                    .filter(|shape| self.types(shape).without(JsonTypes::NULL) != JsonTypes::NONE);
                let branch = branches.next()?;
                match branches.next() {
                    None => self.applicable(branch),
                    Some(_) => None,
                }
            }
        }
    }

    fn array(
        &self,
        subs: &[Sub<'r>],
        around: &mut Vec<&'r Json>,
        count: &mut usize,
    ) -> Option<Kind> {
        let mut items = subs
            .iter()
            .filter_map(|sub| Some((sub, sub.json.get("items")?)));
        let (sub, json) = items.next()?;
        let several = items.next().is_some();
        let tuple = json.is_array() || subs.iter().any(|sub| sub.json.get("prefixItems").is_some());
        if several || tuple {
            return None;
        }
        let item = Sub {
            json,
            base: sub.base.clone(),
        };
        let item = self.expand(item, &mut Vec::new());
        Some(Kind::Array(Box::new(self.outline_of(item, around, count))))
    }

    fn object(
        &self,
        subs: &[Sub<'r>],
        around: &mut Vec<&'r Json>,
        count: &mut usize,
    ) -> Option<Kind> {
        let open = |sub: &Sub<'r>| {
            sub.json.get("patternProperties").is_some()
                || matches!(sub.json.get("additionalProperties"), Some(json) if json != &Json::Bool(false))
        };
        if subs.iter().any(open) {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        for sub in subs {
            let properties = sub.json.get("properties").and_then(Json::as_object);
            for (name, _) in properties.into_iter().flatten() {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        let all = Shape::All(subs.iter().cloned().map(Shape::One).collect());
        let mut declared = Vec::with_capacity(names.len());
        for name in names {
            let value = match self.lookup(&all, name) {
                Lookup::Found(shape) => self.outline_of(shape, around, count),
                Lookup::Open => Outline::ANY,
                Lookup::Forbidden => continue,
            };
            declared.push(Property {
                name: name.to_owned(),
                required: self.requires(&all, name),
                value,
            });
        }
        (!declared.is_empty()).then_some(Kind::Object(declared))
    }
}
