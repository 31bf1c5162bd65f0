//! The owner of a spec: a stage, the base, or what else holds one.

use std::fmt;

/// The part of a run, or of its input, that a spec belongs to. Its text is how messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// The stage of this name.
    Stage(String),
    /// The base.
    Base,
    /// Anything else, by its text: ``the record of stage `parse` ``, `the command line`.
    Other(String),
}

impl Owner {
    /// Returns the stage's name, if it is a stage.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::Stage(name) => Some(name),
            Self::Base | Self::Other(_) => None,
        }
    }

    /// Returns the owner's record, as the owner of what that holds.
    pub(crate) fn record(&self) -> Self {
        Self::Other(format!("the record of {self}"))
    }

    /// Returns the text for its environment.
    pub(super) fn environment(&self) -> String {
        match self {
            Self::Stage(_) => format!("the environment of {self}"),
            Self::Base | Self::Other(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(name) => write!(f, "stage `{name}`"),
            Self::Base => f.write_str("the base"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Error;

    /// Returns the error of a spec that is not one.
    fn wrong_spec(owner: Owner) -> Error {
        let source = envspec::RuntimeEnv::from_json("[]").expect_err("no spec");
        Error::Spec { owner, source: Box::new(source) }
    }

    /// Texts are made of the owner, and the owner is never read from a text.
    #[test]
    fn only_a_stage_is_told_as_a_stage() {
        for name in ["parse", "a`", "` of stage `b"] {
            let stage = Owner::Stage(name.to_owned());
            let look_alike = Owner::Other(stage.to_string());
            assert_eq!(wrong_spec(look_alike).stages(), Vec::<&str>::new());
            assert_eq!(wrong_spec(stage.record()).stages(), Vec::<&str>::new());
            assert_eq!(wrong_spec(stage.clone()).stages(), [name]);
            assert_eq!(Error::OtherSpec { owner: stage }.stages(), [name]);
        }
        assert_eq!(wrong_spec(Owner::Base).stages(), Vec::<&str>::new());
    }

    #[test]
    fn messages_name_the_owner() {
        let stage = Owner::Stage("parse".to_owned());
        let differs = |owner| Error::NotReproduced { owner, difference: "+a".to_owned() };
        for (error, begin) in [
            (wrong_spec(stage.clone()), "the runtime_env of stage `parse` cannot"),
            (wrong_spec(Owner::Base), "the runtime_env of the base cannot"),
            (wrong_spec(stage.record()), "the runtime_env of the record of stage `parse` cannot"),
            (Error::OtherSpec { owner: stage.clone() }, "stage `parse` asks"),
            (differs(stage), "the environment of stage `parse` is not"),
            (differs(Owner::Base), "the base is not"),
        ] {
            let message = error.to_string();
            assert!(message.starts_with(begin), "{message}");
        }
    }
}
