//! Settings of plugins, held against what their classes know before anything is built.

use penstock_connect::properties::nearest;
use penstock_connect::{Problem, Settings};

use super::{PIPELINE, Plugins};
use crate::config::TransformSpec;

impl Plugins {
    /// What to say of an unknown class: the nearest known one, or all.
    pub(crate) fn nearest_connector(&self, class: &str) -> String {
        nearest_of(class, &self.connector_classes())
    }

    fn connector_classes(&self) -> Vec<&'static str> {
        let sources = self.sources.iter().map(|plugin| plugin.class);
        sources
            .chain(self.sinks.iter().map(|plugin| plugin.class))
            .chain([PIPELINE])
            .collect()
    }

    /// Finds transforms that go by a topic which is not the one that their records end up in.
    pub(crate) fn check_topics_known(
        &self,
        transforms: &[TransformSpec],
        problems: &mut Vec<Problem>,
    ) {
        for (index, transform) in transforms.iter().enumerate() {
            let plugin = self.transform_plugin(&transform.class);
            let by_topic = |(class, _): &&(&str, &str)| plugin.is_some_and(|p| p.class == *class);
            let Some((_, key)) = self.by_topic.iter().find(by_topic) else {
                continue;
            };
            let router = transforms[index + 1..]
                .iter()
                .find(|later| self.changes_topic(later));
            if let Some(router) = router
                && transform.settings.get(key).is_none()
            {
                let message = format!(
                    "is required, since transforms.{} sends the records to other topics afterwards",
                    router.name
                );
                problems.push(transform.settings.problem(key, message));
            }
        }
    }

    fn changes_topic(&self, transform: &TransformSpec) -> bool {
        match self.transform_plugin(&transform.class) {
            Some(plugin) => !(plugin.topics)(&transform.settings).is_empty(),
            None => penstock_smt::changes_topic(&transform.class),
        }
    }

    pub(crate) fn check_connector(
        &self,
        class: &str,
        settings: Settings,
        common: &[String],
        problems: &mut Vec<Problem>,
    ) {
        let known_and_check = self
            .sources
            .iter()
            .find(|p| p.answers_to(class))
            .map(|p| (p.keys, p.check))
            .or_else(|| {
                self.sinks
                    .iter()
                    .find(|p| p.answers_to(class))
                    .map(|p| (p.keys, p.check))
            });
        let keys = known_and_check.map_or_else(Vec::new, |(keys, _)| keys());
        let unknown = |settings: &Settings, problems: &mut Vec<Problem>| {
            let known = keys
                .iter()
                .map(|key| key.name.as_str())
                .chain(common.iter().map(String::as_str));
            settings.report_unknown(known, problems);
        };
        match known_and_check {
            // A near miss of a common key is found only with the common keys in view.
            Some((_, check)) => {
                if let Err(found) = check(settings.clone()) {
                    let mut ours = Vec::new();
                    let mut left = settings;
                    for key in &keys {
                        left.take(&key.name);
                    }
                    unknown(&left, &mut ours);
                    for problem in found {
                        let better = ours.iter().find(|other| other.key == problem.key).cloned();
                        problems.push(
                            better
                                .filter(|_| problem.message.starts_with("unknown key"))
                                .unwrap_or(problem),
                        );
                    }
                }
            }
            None => unknown(&settings, problems),
        }
    }

    pub(crate) fn check_transform(
        &self,
        class: &str,
        line: usize,
        settings: Settings,
    ) -> Result<(), Vec<Problem>> {
        if let Some(plugin) = self
            .transforms
            .iter()
            .find(|plugin| plugin.answers_to(class))
        {
            return (plugin.check)(settings);
        }
        match penstock_smt::check_transform(class, settings.clone()) {
            Some(result) => result,
            None => {
                let known: Vec<&str> = self
                    .transforms
                    .iter()
                    .map(|p| p.class)
                    .chain(penstock_smt::names())
                    .collect();
                let message = format!("unknown transform {class}; {}", nearest_of(class, &known));
                Err(vec![settings.problem_at(
                    line,
                    Some("type".to_owned()),
                    message,
                )])
            }
        }
    }

    pub(crate) fn check_predicate(
        &self,
        class: &str,
        line: usize,
        settings: Settings,
    ) -> Result<(), Vec<Problem>> {
        match penstock_smt::predicate(class, settings.clone()) {
            Some(result) => result.map(|_| ()),
            None => {
                let hint = nearest_of(class, &penstock_smt::predicate_names().collect::<Vec<_>>());
                let message = format!("unknown predicate {class}; {hint}");
                Err(vec![settings.problem_at(
                    line,
                    Some("type".to_owned()),
                    message,
                )])
            }
        }
    }
}

/// The class that was meant, by its short name; or all that there are.
fn nearest_of(class: &str, known: &[&str]) -> String {
    let short = class.rsplit('.').next().unwrap_or(class);
    nearest(short, known.iter().copied()).map_or_else(
        || format!("known are {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    )
}
