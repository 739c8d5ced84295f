//! Plugins made from the settings of a connector.

use penstock_connect::{Error, Settings, Sink, Source, TaskContext, Transform};
use penstock_smt::Predicate;

use super::{Plugin, Plugins, config_error};
use crate::config::ConnectorSpec;
use crate::services::Services;

impl Plugins {
    pub(crate) fn build_source(
        &self,
        spec: &ConnectorSpec,
        context: &TaskContext,
        services: &Services,
    ) -> Result<Box<dyn Source>, Error> {
        build(
            &self.sources,
            &spec.common.class,
            spec.plugin.clone(),
            context,
            services,
        )
    }

    pub(crate) fn build_sink(
        &self,
        spec: &ConnectorSpec,
        context: &TaskContext,
        services: &Services,
    ) -> Result<Box<dyn Sink>, Error> {
        build(
            &self.sinks,
            &spec.common.class,
            spec.plugin.clone(),
            context,
            services,
        )
    }

    pub(crate) fn build_transform(
        &self,
        class: &str,
        settings: Settings,
        context: &TaskContext,
        services: &Services,
    ) -> Result<Box<dyn Transform>, Error> {
        if self
            .transforms
            .iter()
            .any(|plugin| plugin.answers_to(class))
        {
            return build(&self.transforms, class, settings, context, services);
        }
        match penstock_smt::transform(class, settings, context) {
            Some(Ok(transform)) => Ok(transform),
            Some(Err(problems)) => Err(config_error(&problems)),
            None => Err(Error::never(format!("unknown transform {class}"))),
        }
    }

    pub(crate) fn build_predicate(
        &self,
        class: &str,
        settings: Settings,
    ) -> Result<Box<dyn Predicate>, Error> {
        match penstock_smt::predicate(class, settings) {
            Some(result) => result.map_err(|problems| config_error(&problems)),
            None => Err(Error::never(format!("unknown predicate {class}"))),
        }
    }
}

fn build<T: ?Sized>(
    plugins: &[Plugin<T>],
    class: &str,
    settings: Settings,
    context: &TaskContext,
    services: &Services,
) -> Result<Box<T>, Error> {
    let plugin = plugins
        .iter()
        .find(|plugin| plugin.answers_to(class))
        .ok_or_else(|| Error::never(format!("unknown plugin {class}")))?;
    (plugin.build)(settings, context, services)
}
