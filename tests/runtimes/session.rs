//! A container of one language, for one case: what is sent, and what the case says of its sources.

use anyhow::{Context, bail, ensure};
use bollard::Docker;
use serde_json::{Value, json};

use crate::compile;
use crate::container::{Container, Response, Start};
use crate::language::{Code, Language};

/// Where the API is, as containers are told.
pub const API_HOST: &str = "http://api.example:3233";

/// One container, and its language.
pub struct Session<'a> {
    pub language: &'a Language,
    container: Container,
    /// Whether the case may leave something that is printed and yet in no answer.
    pub leaves_output: bool,
}

/// What `/run` is sent beside the arguments.
pub fn context() -> Value {
    json!({
        "namespace": "zzz", "action_name": "/zzz/xxx", "action_version": "0.0.1", "activation_id": "iii",
        "transaction_id": "ttt", "deadline": "123",
    })
}

impl<'a> Session<'a> {
    pub async fn start(docker: &Docker, language: &'a Language) -> anyhow::Result<Self> {
        let start = Start {
            image: language.image.clone(),
            command: language.command()?,
            env: vec![format!("__OW_API_HOST={API_HOST}")],
        };
        let container = Container::start(docker, &start).await?;
        Ok(Self { language, container, leaves_output: false })
    }

    /// `/init` with a source of the language, at its usual entry point, which has to be taken.
    pub async fn init(&mut self, source: &str) -> anyhow::Result<Response> {
        self.init_at(source, &self.language.main).await
    }

    /// The same at another entry point.
    pub async fn init_at(&mut self, source: &str, main: &str) -> anyhow::Result<Response> {
        let response = self.try_init(source, main, json!({})).await?.context("no answer to /init")?;
        ensure!(response.status == 200, "/init was refused: {response:?}");
        Ok(response)
    }

    /// `/init` with a source of the language. Where it has to be compiled, what the compiler refuses is refused with
    /// its words, as the platform does.
    pub async fn try_init(
        &mut self,
        source: &str,
        main: &str,
        env: Value,
    ) -> anyhow::Result<Option<Response>> {
        let code = self.language.code(source)?;
        let code = match &self.language.builder {
            None => code,
            Some(builder) => match compile::compile(builder, main, &code)? {
                Ok(compiled) => compiled,
                Err(error) => {
                    let (status, body) = (502, json!({ "error": error }));
                    let (stdout, stderr) = (String::new(), String::new());
                    return Ok(Some(Response { status, body, stdout, stderr }));
                }
            },
        };
        self.init_code(&code, main, env).await
    }

    /// `/init` with this code.
    pub async fn init_code(
        &mut self,
        code: &Code,
        main: &str,
        env: Value,
    ) -> anyhow::Result<Option<Response>> {
        let (code, binary) = code.sent();
        let value = json!({ "name": "test", "main": main, "code": code, "binary": binary, "env": env });
        self.post("/init", &json!({ "value": value })).await
    }

    /// `/run` with these arguments, which has to be answered with 200.
    pub async fn run(&mut self, args: Value) -> anyhow::Result<Response> {
        let response = self.try_run(args, json!({})).await?.context("no answer to /run")?;
        ensure!(response.status == 200, "the run failed: {response:?}");
        Ok(response)
    }

    /// `/run` with these arguments, and besides them what replaces or completes [`context`].
    pub async fn try_run(&mut self, args: Value, besides: Value) -> anyhow::Result<Option<Response>> {
        let mut body = context();
        let (Value::Object(members), Value::Object(besides)) = (&mut body, besides) else {
            bail!("what is sent is an object");
        };
        members.extend(besides);
        members.insert("value".to_owned(), args);
        self.post("/run", &body).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Option<Response>> {
        self.container.post(path, body).await
    }

    pub async fn exit_code(&self) -> anyhow::Result<i64> {
        self.container.exit_code().await
    }

    /// A part of what is said when this case's code does not work, if it is the language's own.
    pub fn says(&self, case: &str, usual: &str) -> String {
        self.language.says.get(case).cloned().unwrap_or_else(|| usual.to_owned())
    }

    /// A result, if the language has one of its own for this case.
    pub fn result(&self, case: &str, usual: Value) -> Value {
        self.language.results.get(case).cloned().unwrap_or(usual)
    }

    /// Removes the container; what was printed has to be in the answers.
    pub async fn end(self) -> anyhow::Result<()> {
        let left = self.container.remove().await?;
        ensure!(self.leaves_output || left == ["", ""], "printed, and in no answer: {left:?}");
        Ok(())
    }
}
