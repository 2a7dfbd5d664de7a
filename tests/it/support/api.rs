//! Asking the API as the HTTP layer does, without HTTP.

use super::World;
use async_graphql::Variables;
use project_vault::graphql::{Api, Call};
use project_vault::vault::Caller;
use serde_json::{Value, json};

/// The answer of one operation.
#[derive(Debug)]
pub struct Answer(pub Value);

impl Answer {
    /// What stands at a JSON pointer below `data`.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0["data"].pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The errors.
    pub fn errors(&self) -> &[Value] {
        self.0["errors"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The codes of the errors.
    pub fn codes(&self) -> Vec<&str> {
        self.errors().iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect()
    }

    /// What stands there, when nothing at all went wrong.
    pub fn ok(&self, pointer: &str) -> &Value {
        assert!(self.errors().is_empty(), "{:#}", self.0);
        self.at(pointer)
    }

    /// The code of the one user error of a mutation, with its field.
    pub fn user_error(&self, mutation: &str) -> (&str, &Value) {
        let errors = self.ok(&format!("/{mutation}/userErrors")).as_array().expect("a payload");
        assert_eq!(errors.len(), 1, "{:#}", self.0);
        (errors[0]["code"].as_str().expect("a code"), &errors[0]["field"])
    }

    /// The object of a mutation's payload, when nothing went wrong.
    pub fn done(&self, mutation: &str, field: &str) -> &Value {
        assert_eq!(self.ok(&format!("/{mutation}/userErrors")), &json!([]), "{:#}", self.0);
        self.at(&format!("/{mutation}/{field}"))
    }
}

impl World {
    /// The API over this world's vault.
    pub fn api(&self) -> Api {
        Api::new(self.vault.clone(), true)
    }

    /// Asks as `caller`.
    pub async fn ask(&self, caller: &Caller, query: &str, variables: Value) -> Answer {
        ask(&self.api(), caller, query, variables).await
    }
}

/// Asks this API as `caller`.
pub async fn ask(api: &Api, caller: &Caller, query: &str, variables: Value) -> Answer {
    let request_id = caller.request_id.clone();
    let response = match api.inspect(query, None, false) {
        Ok(operation) => {
            let variables = Variables::from_json(variables);
            let caller = Some(caller.clone());
            api.execute(Call { caller, request_id, operation, variables, traced: false }).await
        }
        Err(refusal) => Api::refuse((&refusal).into(), &request_id),
    };
    Answer(serde_json::to_value(response).expect("JSON"))
}
