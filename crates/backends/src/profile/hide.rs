//! Keeping secrets out of what is shown.

use std::env;
use std::path::Path;

use serde_json::Value;

use crate::plan::Plan;

/// What is shown in place of a secret.
const HIDDEN: &str = "<hidden>";
/// Shorter ones are words that stand anywhere.
const SHORTEST: usize = 6;

/// Texts that must not be shown.
#[derive(Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// What is in the environment variables of a plan's stages, and of this process, whose names
    /// look secret.
    pub(super) fn from_env(plan: &Plan) -> Self {
        let mut secrets = Self::default();
        let vars = plan.stages().iter().filter_map(|stage| stage.env()).flat_map(|it| &it.env_vars);
        for (_, value) in vars.filter(|(name, _)| envspec::names_a_secret(name)) {
            secrets.add(value);
            // `${NAME}` is replaced in workers by what this process has under that name.
            for name in value.split("${").skip(1).filter_map(|rest| rest.split('}').next()) {
                secrets.add(&env::var(name).unwrap_or_default());
            }
        }
        for (name, value) in env::vars_os() {
            // A user's name stands in most paths.
            let is_secret = |name: &str| envspec::names_a_secret(name) && name != "USERNAME";
            if name.to_str().is_some_and(is_secret) {
                secrets.add(&value.to_string_lossy());
            }
        }
        // The longest first: one may be part of another.
        secrets.0.sort_by(|a, b| (b.len(), b).cmp(&(a.len(), a)));
        secrets.0.dedup();
        secrets
    }

    fn add(&mut self, value: &str) {
        // A file's path, such as that of an agent's socket, is no secret.
        if value.len() >= SHORTEST && !value.contains("${") && !Path::new(value).exists() {
            self.0.push(value.to_owned());
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = envspec::redact(text).into_owned();
        for secret in &self.0 {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        text
    }

    /// The same value without any of them.
    pub(super) fn hidden(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|it| self.hidden(it)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, it)| (self.text(&name), self.hidden(it))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let mut secrets = Secrets::default();
        for value in ["hush-token", "short", "${HF_TOKEN}", "/dev/null"] {
            secrets.add(value);
        }
        let value = json!({
            "a": ["short", { "b": "token=hush-token at https://me:hush@host/x" }],
            "c": "${HF_TOKEN} /dev/null", "d": 1,
        });
        let shown = json!({
            "a": ["short", { "b": "token=<hidden> at https://host/x" }],
            "c": "${HF_TOKEN} /dev/null", "d": 1,
        });
        assert_eq!(secrets.hidden(value), shown);
    }
}
