//! Composite stages and whole pipelines.

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::settings::{any_stage, python_stage, resources, runtime_env};
use crate::{AnyStage, BaseSpec, CompositeStage, Overrides, Pipeline, PipelineStage};

/// Generates a composite stage that expands, with some overrides.
pub fn composite() -> impl Strategy<Value = CompositeStage> {
    composite_and_children().prop_map(|(composite, _)| composite)
}

/// Generates a composite stage without overrides, and the stages that it expands to.
///
/// Some are nested; the names of the stages differ.
pub fn composite_and_children() -> impl Strategy<Value = (CompositeStage, Vec<AnyStage>)> {
    (stages(any_stage().boxed()), any::<[bool; 5]>()).prop_map(|(stages, nested)| {
        let parts = stages.iter().zip(nested).map(|(stage, is_nested)| {
            if is_nested {
                CompositeStage::new("inner", [stage.clone()]).into()
            } else {
                PipelineStage::from(stage.clone())
            }
        });
        (CompositeStage::new("composite", parts.collect::<Vec<_>>()), stages)
    })
}

/// Generates a pipeline that builds, with stages of every kind.
pub fn pipeline() -> impl Strategy<Value = Pipeline> {
    let changes = vec((any::<prop::sample::Index>(), harmless()), 0..3);
    (frame(), stages(any_stage().boxed()), 0_usize..5, changes).prop_map(
        |(pipeline, mut stages, alone, changes)| {
            let rest = stages.split_off(alone.min(stages.len()));
            let pipeline = pipeline.with_stages(stages);
            if rest.is_empty() {
                return pipeline;
            }
            let composite = changes.into_iter().fold(
                CompositeStage::new("composite", rest.clone()),
                |composite, (child, changes)| composite.with_(child.get(&rest).name(), changes),
            );
            pipeline.with_stage(composite)
        },
    )
}

/// Generates a pipeline of Python stages that can be written as a file.
pub fn python_pipeline() -> impl Strategy<Value = Pipeline> {
    (frame(), stages(python_stage().prop_map(AnyStage::from).boxed()))
        .prop_map(|(pipeline, stages)| pipeline.with_stages(stages))
}

/// Generates a pipeline without stages.
fn frame() -> impl Strategy<Value = Pipeline> {
    let base = prop_oneof![
        "[a-z]{1,8}(/[a-z0-9.]{1,8}){0,2}".prop_map(|path| BaseSpec::Python(PathBuf::from(path))),
        runtime_env().prop_map(BaseSpec::from),
    ];
    (
        "[a-zA-Zé][a-z_ ]{0,8}",
        option::of(any::<String>()),
        option::of(runtime_env()),
        option::of(base),
    )
        .prop_map(|(name, description, runtime_env, base)| {
            let mut pipeline = Pipeline::new(name);
            if let Some(description) = description {
                pipeline = pipeline.with_description(description);
            }
            if let Some(runtime_env) = runtime_env {
                pipeline = pipeline.with_runtime_env(runtime_env);
            }
            base.into_iter().fold(pipeline, Pipeline::with_base)
        })
}

/// Generates one to four stages with different names and consistent declared keys.
fn stages(stage: BoxedStrategy<AnyStage>) -> impl Strategy<Value = Vec<AnyStage>> {
    vec(stage, 1..5).prop_map(|stages| {
        let mut known: Vec<String> = Vec::new();
        let agree = |(number, stage): (usize, AnyStage)| {
            let settings = stage.settings();
            let inputs: Vec<String> = settings
                .inputs
                .iter()
                .filter(|key| number == 0 || known.contains(key))
                .cloned()
                .collect();
            known.extend(inputs.iter().chain(&settings.outputs).cloned());
            let name = format!("{}_{number}", settings.name);
            stage.with_(Overrides::default().with_name(name).with_inputs(inputs))
        };
        stages.into_iter().enumerate().map(agree).collect()
    })
}

/// Generates changes that keep valid settings valid, and keep the name.
fn harmless() -> impl Strategy<Value = Overrides> {
    (option::of(1_usize..9), option::of(runtime_env()), option::of(resources())).prop_map(
        |(batch_size, runtime_env, resources)| {
            let mut changes = Overrides::default();
            if let Some(batch_size) = batch_size {
                changes = changes.with_batch_size(batch_size);
            }
            if let Some(runtime_env) = runtime_env {
                changes = changes.with_runtime_env(runtime_env);
            }
            resources.into_iter().fold(changes, Overrides::with_resources)
        },
    )
}
