//! The list of transforms and predicates, and how to make one from its class name and settings.

use penstock_connect::{Config, ConfigKey, Problem, Settings, TaskContext, Transform};

use crate::each::{Change, EachRecord};
use crate::part::Part;
use crate::predicates::{
    FieldMatches, FieldMatchesConfig, HasHeaderKey, HasHeaderKeyConfig, Predicate,
    RecordIsTombstone, RecordIsTombstoneConfig, TopicNameMatches, TopicNameMatchesConfig,
};

const JAVA_TRANSFORMS: &str = "org.apache.kafka.connect.transforms.";
const JAVA_PREDICATES: &str = "org.apache.kafka.connect.transforms.predicates.";

type BuildTransform = fn(Part, Settings, &TaskContext) -> Result<Box<dyn Transform>, Vec<Problem>>;
type BuildPredicate = fn(Settings) -> Result<Box<dyn Predicate>, Vec<Problem>>;

/// A class of transforms.
#[derive(Debug)]
pub struct TransformClass {
    /// Short name: `MaskField`.
    pub name: &'static str,
    /// Comes as `$Key` and `$Value`; without either, the value is meant.
    pub of_parts: bool,
    /// Has a Java class of that name in Kafka Connect.
    pub in_kafka: bool,
    /// Its configuration keys.
    pub keys: fn() -> Vec<ConfigKey>,
    /// What it does.
    pub doc: fn() -> String,
    check: fn(Settings) -> Result<(), Vec<Problem>>,
    build: BuildTransform,
}

impl TransformClass {
    /// Every name that it goes by.
    pub fn class_names(&self) -> Vec<String> {
        let prefixes: &[&str] = if self.in_kafka {
            &[JAVA_TRANSFORMS, ""]
        } else {
            &[""]
        };
        let suffixes: &[&str] = if self.of_parts {
            &["$Key", "$Value", ""]
        } else {
            &[""]
        };
        prefixes
            .iter()
            .flat_map(|prefix| {
                suffixes
                    .iter()
                    .map(move |suffix| format!("{prefix}{}{suffix}", self.name))
            })
            .collect()
    }
}

/// A class of predicates.
#[derive(Debug)]
pub struct PredicateClass {
    /// Short name: `HasHeaderKey`.
    pub name: &'static str,
    /// Has a Java class of that name in Kafka Connect.
    pub in_kafka: bool,
    /// Its configuration keys.
    pub keys: fn() -> Vec<ConfigKey>,
    /// What it does.
    pub doc: fn() -> String,
    build: BuildPredicate,
}

impl PredicateClass {
    /// Every name that it goes by.
    pub fn class_names(&self) -> Vec<String> {
        let prefixes: &[&str] = if self.in_kafka {
            &[JAVA_PREDICATES, ""]
        } else {
            &[""]
        };
        prefixes
            .iter()
            .map(|prefix| format!("{prefix}{}", self.name))
            .collect()
    }
}

fn check<C: Config>(settings: Settings) -> Result<(), Vec<Problem>> {
    C::read_all(settings).map(|_| ())
}

/// A transform that leaves the keys of records as they are, or sees to their placement itself.
fn each<T: Change + 'static>(
    change: Result<T, Vec<Problem>>,
) -> Result<Box<dyn Transform>, Vec<Problem>> {
    made(change, false)
}

/// A transform that changes one part of records.
fn each_part<T: Change + 'static>(
    part: Part,
    change: Result<T, Vec<Problem>>,
) -> Result<Box<dyn Transform>, Vec<Problem>> {
    made(change, part == Part::Key)
}

fn made<T: Change + 'static>(
    change: Result<T, Vec<Problem>>,
    rekeys: bool,
) -> Result<Box<dyn Transform>, Vec<Problem>> {
    change.map(|change| Box::new(EachRecord { change, rekeys }) as Box<dyn Transform>)
}

macro_rules! transforms {
    ($($name:literal: $config:ty, parts $parts:literal, kafka $kafka:literal, $build:expr;)*) => {
        &[$(TransformClass {
            name: $name,
            of_parts: $parts,
            in_kafka: $kafka,
            keys: <$config as Config>::keys,
            doc: <$config as Config>::doc,
            check: check::<$config>,
            build: $build,
        }),*]
    };
}

/// Every transform that there is.
pub const SUPPORTED: &[TransformClass] = transforms! {
    "Cast": crate::cast::CastConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::cast::Cast::from_settings(part, settings));
    "DropHeaders": crate::drop_headers::DropHeadersConfig, parts false, kafka true,
        |_, settings, _| each(crate::drop_headers::DropHeaders::from_settings(settings));
    "ExtractField": crate::extract_field::ExtractFieldConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::extract_field::ExtractField::from_settings(part, settings));
    "Filter": crate::filter::FilterConfig, parts false, kafka true,
        |_, settings, _| Ok(Box::new(crate::filter::Filter::from_settings(settings)?));
    "Flatten": crate::flatten::FlattenConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::flatten::Flatten::from_settings(part, settings));
    "HeaderFrom": crate::header_from::HeaderFromConfig, parts true, kafka true,
        |part, settings, _| each(crate::header_from::HeaderFrom::from_settings(part, settings));
    "HoistField": crate::hoist_field::HoistFieldConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::hoist_field::HoistField::from_settings(part, settings));
    "InsertField": crate::insert_field::InsertFieldConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::insert_field::InsertField::from_settings(part, settings));
    "InsertHeader": crate::insert_header::InsertHeaderConfig, parts false, kafka true,
        |_, settings, _| each(crate::insert_header::InsertHeader::from_settings(settings));
    "MaskField": crate::mask_field::MaskFieldConfig, parts true, kafka true,
        |part, settings, context| each_part(part, crate::mask_field::MaskField::from_settings(part, settings, context));
    "RegexRouter": crate::regex_router::RegexRouterConfig, parts false, kafka true,
        |_, settings, _| each(crate::regex_router::RegexRouter::from_settings(settings));
    "ReplaceField": crate::replace_field::ReplaceFieldConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::replace_field::ReplaceField::from_settings(part, settings));
    "SetField": crate::set_field::SetFieldConfig, parts true, kafka false,
        |part, settings, _| each_part(part, crate::set_field::SetField::from_settings(part, settings));
    "SetSchemaMetadata": crate::set_schema_metadata::SetSchemaMetadataConfig, parts true, kafka true,
        |part, settings, _| each(crate::set_schema_metadata::SetSchemaMetadata::from_settings(part, settings));
    "TimestampConverter": crate::timestamp_converter::TimestampConverterConfig, parts true, kafka true,
        |part, settings, _| each_part(part, crate::timestamp_converter::TimestampConverter::from_settings(part, settings));
    "TimestampRouter": crate::timestamp_router::TimestampRouterConfig, parts false, kafka true,
        |_, settings, _| each(crate::timestamp_router::TimestampRouter::from_settings(settings));
    "ValueToKey": crate::value_to_key::ValueToKeyConfig, parts false, kafka true,
        |_, settings, _| each(crate::value_to_key::ValueToKey::from_settings(settings));
};

/// Every predicate that there is.
pub const SUPPORTED_PREDICATES: &[PredicateClass] = &[
    PredicateClass {
        name: "FieldMatches",
        in_kafka: false,
        keys: FieldMatchesConfig::keys,
        doc: FieldMatchesConfig::doc,
        build: |settings| Ok(Box::new(FieldMatches::from_settings(settings)?)),
    },
    PredicateClass {
        name: "HasHeaderKey",
        in_kafka: true,
        keys: HasHeaderKeyConfig::keys,
        doc: HasHeaderKeyConfig::doc,
        build: |settings| Ok(Box::new(HasHeaderKey::from_settings(settings)?)),
    },
    PredicateClass {
        name: "RecordIsTombstone",
        in_kafka: true,
        keys: RecordIsTombstoneConfig::keys,
        doc: RecordIsTombstoneConfig::doc,
        build: |settings| Ok(Box::new(RecordIsTombstone::from_settings(settings)?)),
    },
    PredicateClass {
        name: "TopicNameMatches",
        in_kafka: true,
        keys: TopicNameMatchesConfig::keys,
        doc: TopicNameMatchesConfig::doc,
        build: |settings| Ok(Box::new(TopicNameMatches::from_settings(settings)?)),
    },
];

/// The class that a name stands for, and the part it works on.
fn find(class: &str) -> Option<(&'static TransformClass, Part)> {
    let (name, in_java) = match class.strip_prefix(JAVA_TRANSFORMS) {
        Some(name) => (name, true),
        None => (class, false),
    };
    let (name, part) = match name.split_once('$') {
        Some((name, "Key")) => (name, Some(Part::Key)),
        Some((name, "Value")) => (name, Some(Part::Value)),
        Some(_) => return None,
        None => (name, None),
    };
    SUPPORTED
        .iter()
        .find(|known| {
            known.name == name && (known.in_kafka || !in_java) && (known.of_parts || part.is_none())
        })
        .map(|known| (known, part.unwrap_or(Part::Value)))
}

fn find_predicate(class: &str) -> Option<&'static PredicateClass> {
    let (name, in_java) = match class.strip_prefix(JAVA_PREDICATES) {
        Some(name) => (name, true),
        None => (class, false),
    };
    SUPPORTED_PREDICATES
        .iter()
        .find(|known| known.name == name && (known.in_kafka || !in_java))
}

/// Makes the transform of that class (short or Java name) with these settings. `None`: there is no such
/// class.
pub fn transform(
    class: &str,
    settings: Settings,
    context: &TaskContext,
) -> Option<Result<Box<dyn Transform>, Vec<Problem>>> {
    find(class).map(|(known, part)| (known.build)(part, settings, context))
}

/// Checks the settings of a transform without making it. `None`: there is no such class.
pub fn check_transform(class: &str, settings: Settings) -> Option<Result<(), Vec<Problem>>> {
    find(class).map(|(known, _)| (known.check)(settings))
}

/// Whether transforms of that class (short or Java name) send records to other topics.
pub fn changes_topic(class: &str) -> bool {
    find(class).is_some_and(|(known, _)| matches!(known.name, "RegexRouter" | "TimestampRouter"))
}

/// Makes the predicate of that class (short or Java name) with these settings. `None`: there is no such
/// class.
pub fn predicate(
    class: &str,
    settings: Settings,
) -> Option<Result<Box<dyn Predicate>, Vec<Problem>>> {
    find_predicate(class).map(|known| (known.build)(settings))
}

/// Checks the settings of a predicate. `None`: there is no such class.
pub fn check_predicate(class: &str, settings: Settings) -> Option<Result<(), Vec<Problem>>> {
    predicate(class, settings).map(|made| made.map(|_| ()))
}

/// Short names of all transforms.
pub fn names() -> impl Iterator<Item = &'static str> {
    SUPPORTED.iter().map(|class| class.name)
}

/// Short names of all predicates.
pub fn predicate_names() -> impl Iterator<Item = &'static str> {
    SUPPORTED_PREDICATES.iter().map(|class| class.name)
}
