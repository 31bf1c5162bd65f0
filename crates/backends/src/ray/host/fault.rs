//! An error on its way from a node to the program that runs the pipeline.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::run::{Error, FailedTask, PythonError, Words};
use crate::worker::wire::Phase;

/// An error in the form that is sent: errors that a program can handle unchanged, all others as
/// text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Task(FailedTask),
    Setup {
        stage: String,
        phase: Phase,
        environment: Option<String>,
        error: PythonError,
        log: Vec<String>,
    },
    WrongEnvironment {
        stage: String,
        mismatch: String,
    },
    DeclaredEnv {
        stage: String,
        declared: String,
        planned: String,
    },
    Forbidden {
        stage: String,
        setting: String,
        declared: String,
    },
    /// The environment of some stages could not be had.
    Environment {
        stages: Vec<String>,
        source: Box<Self>,
    },
    Other {
        /// Missing where the driver says it, which has the stage in its words.
        #[serde(default)]
        stages: Vec<String>,
        /// The message, and those of its causes.
        chain: Vec<String>,
        detail: Option<String>,
        hint: Option<String>,
    },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Task(failed) => Self::Task(*failed),
            Error::WorkerSetup { stage, phase, environment, error, log } => {
                Self::Setup { stage, phase, environment, error: *error, log }
            }
            Error::WrongEnvironment { stage, mismatch } => {
                Self::WrongEnvironment { stage, mismatch }
            }
            Error::DeclaredEnv { stage, declared, planned } => {
                Self::DeclaredEnv { stage, declared, planned }
            }
            Error::ForbiddenDeclaration { stage, setting, declared } => {
                Self::Forbidden { stage, setting, declared }
            }
            Error::Environment { stages, source } => {
                Self::Environment { stages, source: Box::new(Self::from(*source)) }
            }
            other => Self::Other {
                stages: other.stages().iter().map(ToString::to_string).collect(),
                detail: other.detail(),
                hint: other.hint().map(Cow::into_owned),
                chain: envspec::messages(&other),
            },
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Task(failed) => Self::Task(Box::new(failed)),
            Fault::Setup { stage, phase, environment, error, log } => {
                Self::WorkerSetup { stage, phase, environment, error: Box::new(error), log }
            }
            Fault::WrongEnvironment { stage, mismatch } => {
                Self::WrongEnvironment { stage, mismatch }
            }
            Fault::DeclaredEnv { stage, declared, planned } => {
                Self::DeclaredEnv { stage, declared, planned }
            }
            Fault::Forbidden { stage, setting, declared } => {
                Self::ForbiddenDeclaration { stage, setting, declared }
            }
            Fault::Environment { stages, source } => {
                Self::Environment { stages, source: Box::new(Self::from(*source)) }
            }
            Fault::Other { stages, chain, detail, hint } => {
                let mut chain = chain.into_iter();
                let message = chain.next().unwrap_or_default();
                Self::OnNode { stages, message, source: Words::chain(chain), detail, hint }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_the_same_after_its_way() {
        let cause = std::io::Error::other("the disk is full");
        let error = Error::io("write", "a file", cause).of_stages(vec!["s".to_owned()]);
        let report = error.report();
        let text = serde_json::to_string(&Fault::from(error)).unwrap();
        let back: Fault = serde_json::from_str(&text).unwrap();
        let back = Error::from(back);
        assert_eq!(back.report(), report);
        assert!(matches!(back, Error::Environment { .. }), "{back:?}");
        assert_eq!(back.stages(), ["s"]);
        assert!(report.contains("stage `s`") && report.contains("the disk is full"), "{report}");
    }

    #[test]
    fn the_driver_gives_words_alone() {
        let text = r#"{"other": {"chain": ["a", "b"], "detail": null, "hint": null}}"#;
        let back = Error::from(serde_json::from_str::<Fault>(text).unwrap());
        assert!(back.stages().is_empty() && back.report().contains('a'), "{back:?}");
    }

    #[test]
    fn an_error_that_travels_as_words_still_knows_its_stage() {
        let error = Error::NoDevice { stage: "s".to_owned(), wanted: "1 GPU".to_owned(), there: 0 };
        let report = error.report();
        let text = serde_json::to_string(&Fault::from(error)).unwrap();
        let back = Error::from(serde_json::from_str::<Fault>(&text).unwrap());
        assert_eq!((back.report(), back.stages()), (report, vec!["s"]));
    }
}
