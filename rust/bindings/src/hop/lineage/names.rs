//! `LineageNames`: the texts that rows refer to by number, and what is needed to explain a skipped stage.

use pyo3::prelude::*;

use super::causes::CauseNode;
use super::showing::ShownValues;

/// One stage of a route.
pub struct NamedStage {
    pub name: String,
    /// The stage's condition, to find the part of it that does not hold; None without one.
    pub cause: Option<CauseNode>,
}

/// One route.
pub struct NamedRoute {
    pub id: String,
    pub stages: Vec<NamedStage>,
    /// Names of the outbounds' routes or queues.
    pub outbounds: Vec<String>,
}

/// Names of one execution.
pub struct LineageNames {
    pub execution_id: String,
    pub routes: Vec<NamedRoute>,
    pub shown: ShownValues,
}

impl LineageNames {
    /// Read the names: routes as tuples of an id, the stages (a name, and a condition or None) and the outbounds' names.
    pub fn read(
        execution_id: String,
        routes: &Bound<'_, PyAny>,
        shown: ShownValues,
    ) -> PyResult<Self> {
        let mut named = Vec::new();
        for route in routes.try_iter()? {
            let (id, stages, outbounds): (String, Bound<'_, PyAny>, Vec<String>) =
                route?.extract()?;
            let mut found = Vec::new();
            for stage in stages.try_iter()? {
                let (name, condition): (String, Option<Bound<'_, PyAny>>) = stage?.extract()?;
                let cause = condition.map(|it| CauseNode::read(&it)).transpose()?;
                found.push(NamedStage { name, cause });
            }
            named.push(NamedRoute {
                id,
                stages: found,
                outbounds,
            });
        }
        Ok(Self {
            execution_id,
            routes: named,
            shown,
        })
    }
}
