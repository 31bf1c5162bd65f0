//! Laws of composite stages.
//!
//! - Without overrides, a composite stage expands to its stages in order, at any depth of nesting;
//!   also to a single one.
//! - An override of a child overrides that stage and no other; the original stays unchanged.
//! - Only later overrides see a rename; names differ after each call.
//! - A composite needs the inputs of its first stage and gives the outputs of its last one.

use proptest::prelude::*;
use stage::strategies::{composite_and_children, overrides};
use stage::{AnyStage, CompositeStage, Error, Overrides, Pipeline, PythonStage};

fn stage(name: &str) -> PythonStage {
    PythonStage::from_file("stages.py", "Stage").with_name(name)
}

fn names(stages: &[AnyStage]) -> Vec<&str> {
    stages.iter().map(AnyStage::name).collect()
}

fn rename(name: &str) -> Overrides {
    Overrides::default().with_name(name)
}

proptest! {
    #[test]
    fn a_composite_expands_to_its_stages((composite, stages) in composite_and_children()) {
        prop_assert_eq!(composite.inputs().unwrap(), stages[0].settings().inputs.clone());
        let last = stages.last().unwrap();
        prop_assert_eq!(composite.outputs().unwrap(), last.settings().outputs.clone());
        let built = Pipeline::new("p").with_stage(composite.clone()).build().unwrap();
        prop_assert_eq!(built.stages(), &stages);
        prop_assert_eq!(composite.expand().unwrap(), stages);
    }

    #[test]
    fn an_override_changes_one_child(
        (composite, stages) in composite_and_children(),
        child in any::<prop::sample::Index>(),
        changes in overrides(),
    ) {
        let child = child.index(stages.len());
        let name = stages[child].name().to_owned();
        let changes = changes.then(rename(&name));
        let changed = composite.with_(&name, changes.clone());
        let mut expected = stages.clone();
        expected[child] = expected[child].with_(changes);
        prop_assert_eq!(changed.expand().unwrap(), expected);
        prop_assert_eq!(composite.expand().unwrap(), stages);
    }
}

#[test]
fn a_single_child_keeps_its_overrides() {
    let composite = CompositeStage::new("c", [stage("a")]).with_("a", rename("b"));
    let built = Pipeline::new("p").with_stage(composite).build().unwrap();
    assert_eq!(names(built.stages()), ["b"]);
}

#[test]
fn a_rename_is_visible_to_later_overrides_only() {
    let composite = CompositeStage::new("c", [stage("a"), stage("b")]).with_("a", rename("x"));
    let later = composite.with_("x", Overrides::default().with_batch_size(2)).expand().unwrap();
    assert_eq!(later[0].settings().batch_size, Some(2));
    let error = composite.with_("a", rename("y")).expand().unwrap_err();
    assert!(matches!(&error, Error::UnknownChild { name, .. } if name == "a"));
    let together = CompositeStage::new("c", [stage("a"), stage("b")])
        .with_all([("a", rename("x")), ("x", rename("y"))]);
    assert!(matches!(together.expand(), Err(Error::UnknownChild { .. })));
}

#[test]
fn two_stages_may_swap_names_at_once() {
    let composite = CompositeStage::new("c", [stage("a"), stage("b")]);
    let swapped = composite.with_all([("a", rename("b")), ("b", rename("a"))]).expand().unwrap();
    assert_eq!(names(&swapped), ["b", "a"]);
    let clash = composite.with_("a", rename("b")).expand();
    assert!(matches!(clash, Err(Error::DuplicateName { .. })));
}

#[test]
fn the_same_child_twice_at_once_is_changed_twice() {
    let composite = CompositeStage::new("c", [stage("a")])
        .with_all([("a", rename("x")), ("a", Overrides::default().with_batch_size(2))]);
    let stages = composite.expand().unwrap();
    assert_eq!((stages[0].name(), stages[0].settings().batch_size), ("x", Some(2)));
}

#[test]
fn an_outer_override_reaches_a_nested_stage_after_the_inner_one() {
    let inner = CompositeStage::new("inner", [stage("a"), stage("b")])
        .with_("a", rename("x").with_batch_size(2));
    let outer = CompositeStage::new("outer", [inner]).with_stage(stage("c"));
    let stages = outer.with_("x", Overrides::default().with_batch_size(3)).expand().unwrap();
    assert_eq!(names(&stages), ["x", "b", "c"]);
    assert_eq!(stages[0].settings().batch_size, Some(3));
}

#[test]
fn what_cannot_be_expanded_says_why() {
    let none = CompositeStage::new("c", [] as [PythonStage; 0]);
    let error = none.expand().unwrap_err();
    assert_eq!(error.to_string(), "composite stage `c` has no stages");
    let unnamed = CompositeStage::new("a\nb", [stage("a")]);
    assert!(matches!(unnamed.expand(), Err(Error::Name { what: "composite stage", .. })));
    let twins = CompositeStage::new("c", [stage("a"), stage("a")]);
    let error = twins.expand().unwrap_err();
    assert_eq!(error.to_string(), "composite stage `c` has more than one stage named `a`");
    let error = CompositeStage::new("c", [stage("tokenize")])
        .with_("tokenise", Overrides::default())
        .expand()
        .unwrap_err();
    assert_eq!(error.to_string(), "composite stage `c` has no stage named `tokenise`");
    assert_eq!(error.hint().as_deref(), Some("did you mean `tokenize`?"));
}
