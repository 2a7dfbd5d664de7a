//! Asking for a secret, and what the description says about the answers.

use crate::agent::served::Served;
use crate::support::World;
use project_vault::domain::{AuditAction, Narrowing, TokenKind};
use project_vault::vault::{AuditEvent, AuditQuery};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

const SECRET: &str = "/v1/projects/{project}/agents/{agent}/secrets/{name}";

/// The description of the view, as it is in the repository.
pub fn described() -> Value {
    serde_json::from_str(include_str!("../../../../openapi.json")).unwrap()
}

/// A request for a secret: by `builder` of project demo, unless it says otherwise.
#[derive(Clone)]
pub struct Asked<'a> {
    served: &'a Served,
    base: String,
    path: Option<String>,
    method: Method,
    project: String,
    agent: String,
    name: String,
    parameters: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    token: Option<String>,
}

impl<'a> Asked<'a> {
    pub fn of(served: &'a Served, name: &str) -> Self {
        Self {
            served,
            base: served.url.strip_suffix("/graphql").unwrap().to_owned(),
            path: None,
            method: Method::GET,
            project: "demo".to_owned(),
            agent: "builder".to_owned(),
            name: name.to_owned(),
            parameters: Vec::new(),
            headers: Vec::new(),
            token: Some(served.runtime()),
        }
    }

    pub fn at(self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self }
    }

    /// Another path than that of the secret.
    pub fn path(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub fn project(self, project: &str) -> Self {
        Self { project: project.to_owned(), ..self }
    }

    pub fn agent(self, agent: &str) -> Self {
        Self { agent: agent.to_owned(), ..self }
    }

    pub fn with(mut self, parameter: &str, value: &str) -> Self {
        self.parameters.push((parameter.to_owned(), value.to_owned()));
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    pub fn runtime(self, id: &str) -> Self {
        self.kind(TokenKind::Runtime, id)
    }

    /// As this principal.
    pub fn kind(self, kind: TokenKind, id: &str) -> Self {
        let token = self.served.token(kind, id, Narrowing::default());
        Self { token: Some(token), ..self }
    }

    fn url(&self) -> Url {
        let mut url = Url::parse(&self.base).unwrap();
        match &self.path {
            Some(path) => url.set_path(path),
            None => {
                let parts = ["v1", "projects", &self.project, "agents", &self.agent, "secrets", &self.name];
                url.path_segments_mut().unwrap().clear().extend(parts);
            }
        }
        if !self.parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.parameters);
        }
        url
    }

    /// Sends it. The answer is held against the description, where it is about a secret.
    pub async fn get(self) -> Answer {
        let url = self.url();
        let mut request = client().request(self.method.clone(), url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        let answer = Answer { status, headers, text, body };
        answer.check_common();
        if self.path.is_none() && self.method != Method::HEAD {
            answer.check_described();
        }
        answer
    }

    /// Asks the same by GraphQL for these fields.
    pub async fn graphql(self, fields: &str) -> Value {
        let mut input = json!({
            "projectId": self.project,
            "agentId": self.agent,
            "names": [self.name],
            "purpose": "TOOL_EXECUTION",
        });
        for (parameter, value) in &self.parameters {
            let field = if parameter == "milestone" { "milestoneId" } else { parameter };
            input[field] = json!(value);
        }
        let query = format!(
            "query($input: ResolveSecretsInput!) {{ resolveSecrets(input: $input) {{ secrets {{ {fields} }} }} }}"
        );
        let body = json!({ "query": query, "variables": { "input": input } });
        let mut request = client().post(format!("{}/graphql", self.base)).json(&body);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().json().await.unwrap()
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub text: String,
    /// The body as JSON; null when it is none.
    pub body: Value,
    headers: HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status of a problem and its code.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["requestId"].as_str(), self.header("x-request-id"));
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// The body, without what differs from one request to the next.
    pub fn without_id(&self) -> Value {
        let mut body = self.body.clone();
        body.as_object_mut().unwrap().remove("requestId");
        body
    }

    fn check_common(&self) {
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert!(self.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
        assert_ne!(self.body["value"], "", "no value is empty");
    }

    /// Whether the description has the status, the headers and the code.
    fn check_described(&self) {
        let described = described();
        let response = &described["paths"][SECRET]["get"]["responses"][self.status.to_string()];
        assert!(response.is_object(), "{} is not described", self.status);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = match header["$ref"].as_str() {
                Some(at) => described.pointer(at.strip_prefix('#').unwrap()).unwrap(),
                None => header,
            };
            assert!(header["required"] != true || self.headers.contains_key(name), "{name} is missing");
        }
        let kind = response["content"].as_object().and_then(|content| content.keys().next());
        assert_eq!(self.header("content-type"), kind.map(String::as_str));
        if let Some(code) = self.body.get("code") {
            let codes = &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"];
            assert!(codes["enum"].as_array().unwrap().contains(code), "{code} is not described for {}", self.status);
        }
    }
}

impl World {
    /// The events of resolves, newest first.
    pub async fn asked_events(&self) -> Vec<AuditEvent> {
        let query =
            AuditQuery { actions: Some(vec![AuditAction::SecretResolved]), first: Some(100), ..AuditQuery::default() };
        let audrey = crate::support::user("audrey");
        let page = crate::support::vault_events(&self.vault, &audrey, None, &query).await.unwrap();
        page.items.into_iter().map(|(event, _)| event).collect()
    }

    /// The newest of these, without what differs between equal calls.
    pub async fn last_events<const COUNT: usize>(&self) -> [String; COUNT] {
        let events = self.asked_events().await;
        std::array::from_fn(|at| {
            let event = &events[at];
            format!(
                "{} {} {:?} {} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                event.action,
                event.outcome,
                event.reason,
                event.count,
                event.actor,
                event.project,
                event.agent,
                event.entry,
                event.entry_name,
                event.entry_version,
                event.milestone,
                event.purpose.map(|purpose| purpose.as_str()),
                (&event.session, &event.tool),
            )
        })
    }
}
