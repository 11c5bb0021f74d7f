//! The cases, each for every language: what a runtime does with one action. They are those of upstream
//! (`apache/openwhisk: tests/src/test/scala/actionContainers/BasicActionRunnerTests.scala`, and the tests of the
//! runtimes' own repositories), and some that the platform relies on.

use anyhow::{Context, ensure};
use common::clock::{Clock, SystemClock};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::container::Response;
use crate::language::{Code, Own};
use crate::session::{API_HOST, Session};

type Outcome = anyhow::Result<()>;

/// One case.
pub struct Case {
    /// As in the table, and in `leave_out`.
    pub name: &'static str,
    pub run: for<'a, 'b> fn(&'a mut Session<'b>) -> BoxFuture<'a, Outcome>,
}

/// All of them, in the order of the table.
pub const CASES: &[Case] = &[
    Case { name: "hello", run: |it| Box::pin(hello(it)) },
    Case { name: "echo", run: |it| Box::pin(echo(it)) },
    Case { name: "unicode", run: |it| Box::pin(unicode(it)) },
    Case { name: "environment", run: |it| Box::pin(environment(it)) },
    Case { name: "environment at init", run: |it| Box::pin(environment_at_init(it)) },
    Case { name: "API key", run: |it| Box::pin(api_key(it)) },
    Case { name: "deadline", run: |it| Box::pin(deadline(it)) },
    Case { name: "exception", run: |it| Box::pin(exception(it)) },
    Case { name: "application error", run: |it| Box::pin(application_error(it)) },
    Case { name: "no code", run: |it| Box::pin(no_code(it)) },
    Case { name: "bad code", run: |it| Box::pin(bad_code(it)) },
    Case { name: "second init", run: |it| Box::pin(second_init(it)) },
    Case { name: "other main", run: |it| Box::pin(other_main(it)) },
    Case { name: "wrong main", run: |it| Box::pin(wrong_main(it)) },
    Case { name: "logs", run: |it| Box::pin(logs(it)) },
    Case { name: "1 MB of input", run: |it| Box::pin(large_input(it)) },
    Case { name: "128 KB of parameters", run: |it| Box::pin(large_parameters(it)) },
    Case { name: "no object", run: |it| Box::pin(no_object(it)) },
    Case { name: "array as result", run: |it| Box::pin(array_result(it)) },
    Case { name: "array as argument", run: |it| Box::pin(array_argument(it)) },
    Case { name: "zip", run: |it| Box::pin(archive(it, "zip")) },
    Case { name: "zip with dependencies", run: |it| Box::pin(archive(it, "dependencies")) },
    Case { name: "bad zip", run: |it| Box::pin(bad_archive(it)) },
    Case { name: "exit in a run", run: |it| Box::pin(exit_in_run(it)) },
    Case { name: "exit at init", run: |it| Box::pin(exit_at_init(it)) },
    Case { name: "many runs", run: |it| Box::pin(many_runs(it)) },
];

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    ensure!(found == expected, "{what}: {found:?} in place of {expected:?}");
    Ok(())
}

fn holds(what: &str, text: &str, part: &str) -> Outcome {
    ensure!(text.contains(part), "{what} does not hold {part:?}: {text:?}");
    Ok(())
}

fn silent(response: &Response) -> Outcome {
    same("the logs", (response.stdout.as_str(), response.stderr.as_str()), ("", ""))
}

async fn hello(it: &mut Session<'_>) -> Outcome {
    silent(&it.init("hello").await?)?;
    for (args, expected) in [
        (json!({"name": "Ada"}), "Hello Ada!"),
        (json!({}), "Hello stranger!"),
        (json!({"name": "<&\"'>"}), "Hello <&\"'>!"),
    ] {
        let response = it.run(args).await?;
        same("the result", response.body.clone(), json!({ "greeting": expected }))?;
        silent(&response)?;
    }
    Ok(())
}

async fn echo(it: &mut Session<'_>) -> Outcome {
    it.init("echo").await?;
    for args in [
        json!({"string": "hello"}),
        json!({"string": "❄ ☃ ❄"}),
        json!({"numbers": [42, 1, -7.5]}),
        json!({"boolean": true, "list": [], "text": ""}),
        json!({"object": {"a": "A", "b": {"c": [{"d": "e\n\"\\\u{1F980}"}]}}}),
    ] {
        let response = it.run(args.clone()).await?;
        same("the result", &response.body, &args)?;
        same("stdout", response.stdout.as_str(), "hello stdout\n")?;
        same("stderr", response.stderr.as_str(), "hello stderr\n")?;
    }
    Ok(())
}

async fn unicode(it: &mut Session<'_>) -> Outcome {
    it.init("unicode").await?;
    let response = it.run(json!({"delimiter": "❄"})).await?;
    same("the result", &response.body, &json!({"winter": "❄ ☃ ❄"}))?;
    same("stdout", response.stdout.as_str(), "❄ ☃ ❄\n")
}

async fn environment(it: &mut Session<'_>) -> Outcome {
    it.init("environment").await?;
    let response = it.run(json!({})).await?;
    let expected = [
        ("api_host", API_HOST),
        ("namespace", "zzz"),
        ("action_name", "/zzz/xxx"),
        ("action_version", "0.0.1"),
        ("activation_id", "iii"),
        ("transaction_id", "ttt"),
        ("deadline", "123"),
    ];
    for (name, value) in expected {
        same(name, &response.body[name], &json!(value))?;
    }
    let again = it.try_run(json!({}), json!({"activation_id": "jjj"})).await?.context("no answer")?;
    same("activation_id of the next run", &again.body["activation_id"], &json!("jjj"))?;
    silent(&again)
}

async fn environment_at_init(it: &mut Session<'_>) -> Outcome {
    let env = json!({"SOME_VAR": "xyz ☃", "ANOTHER_VAR": "", "__OW_NAMESPACE": "at init"});
    let main = it.language.main.clone();
    let response = it.try_init("init_environment", &main, env).await?.context("no answer to /init")?;
    same("the status of /init", response.status, 200)?;
    let response = it.run(json!({})).await?;
    // As the code was loaded, and as it runs.
    for (name, value) in [("at_load", "xyz ☃"), ("SOME_VAR", "xyz ☃"), ("ANOTHER_VAR", "")] {
        same(name, &response.body[name], &json!(value))?;
    }
    silent(&response)
}

async fn api_key(it: &mut Session<'_>) -> Outcome {
    it.init("environment").await?;
    let without = it.run(json!({})).await?;
    ensure!(matches!(without.body["api_key"].as_str(), None | Some("")), "a key from nowhere: {without:?}");
    let with = it.try_run(json!({}), json!({"api_key": "uuid:key"})).await?.context("no answer")?;
    same("the key", &with.body["api_key"], &json!("uuid:key"))
}

async fn deadline(it: &mut Session<'_>) -> Outcome {
    const LIMIT: u64 = 60_000;
    it.init("deadline").await?;
    let deadline = (SystemClock.now().0 + LIMIT).to_string();
    let response = it.try_run(json!({}), json!({ "deadline": deadline })).await?.context("no answer")?;
    let left = response.body["left"].as_f64().with_context(|| format!("no time is left: {response:?}"))?;
    ensure!(left > 0.0 && left <= LIMIT as f64, "{left} ms are left");
    Ok(())
}

async fn exception(it: &mut Session<'_>) -> Outcome {
    it.init("exception").await?;
    let response = it.try_run(json!({}), json!({})).await?.context("no answer")?;
    holds("the error", &response.error(), "nooooo")?;
    holds("stderr", &response.stderr, "nooooo")
}

async fn application_error(it: &mut Session<'_>) -> Outcome {
    it.init("application_error").await?;
    let response = it.run(json!({})).await?;
    same("the result", &response.body, &json!({"error": "sorry"}))?;
    same("the next one", &it.run(json!({})).await?.body, &json!({"error": "sorry"}))
}

async fn no_code(it: &mut Session<'_>) -> Outcome {
    for body in [json!({}), json!({"value": {"name": "test", "main": "main", "code": "", "binary": false}})] {
        let response = it.post("/init", &body).await?.context("no answer to /init")?;
        ensure!(response.status != 200, "no code was taken");
        same("the error", response.error().as_str(), "Missing main/no code to execute.")?;
    }
    let response = it.try_run(json!({}), json!({})).await?.context("no answer to /run")?;
    ensure!(response.status != 200, "there is nothing to run, and yet {response:?}");
    Ok(())
}

async fn bad_code(it: &mut Session<'_>) -> Outcome {
    let main = it.language.main.clone();
    let response = it.try_init("bad_code", &main, json!({})).await?.context("no answer to /init")?;
    ensure!(response.status != 200, "the code was taken");
    holds("the error", &response.error(), &it.says("bad code", "SyntaxError"))?;
    let response = it.try_run(json!({}), json!({})).await?.context("no answer to /run")?;
    ensure!(response.status != 200, "there is nothing to run, and yet {response:?}");
    Ok(())
}

async fn second_init(it: &mut Session<'_>) -> Outcome {
    it.init("echo").await?;
    let main = it.language.main.clone();
    let response = it.try_init("hello", &main, json!({})).await?.context("no answer to /init")?;
    ensure!(response.status != 200, "the second one was taken");
    let text = "Cannot initialize the action more than once.";
    same("the error", response.error().as_str(), text)?;
    holds("the logs", &(response.stdout + &response.stderr), text)?;
    same("the first one", &it.run(json!({"a": 1})).await?.body, &json!({"a": 1}))
}

async fn other_main(it: &mut Session<'_>) -> Outcome {
    let main = it.language.other_main.clone();
    it.init_at("other_main", &main).await?;
    let response = it.run(json!({"string": "hello"})).await?;
    same("the result", &response.body, &json!({"string": "hello"}))?;
    silent(&response)
}

async fn wrong_main(it: &mut Session<'_>) -> Outcome {
    let response = it.try_init("other_main", "nobody", json!({})).await?.context("no answer to /init")?;
    ensure!(response.status != 200, "an entry point was found that is not there");
    holds("the error", &response.error(), &it.says("wrong main", "nobody"))
}

async fn logs(it: &mut Session<'_>) -> Outcome {
    it.init("logs").await?;
    for lines in [0, 1, 10_000, 0, 3] {
        let response = it.run(json!({ "lines": lines })).await?;
        same("the result", &response.body, &json!({ "lines": lines }))?;
        let expected = |word: &str| format!("{word} {}\n", "x".repeat(90)).repeat(lines);
        ensure!(
            response.stdout == expected("out"),
            "{} bytes on stdout of {lines} lines",
            response.stdout.len()
        );
        ensure!(
            response.stderr == expected("err"),
            "{} bytes on stderr of {lines} lines",
            response.stderr.len()
        );
    }
    Ok(())
}

async fn large_input(it: &mut Session<'_>) -> Outcome {
    it.init("echo").await?;
    for text in ["a".repeat(1_048_561), "ü".repeat(524_280)] {
        let args = json!({ "arg": text });
        ensure!(it.run(args.clone()).await?.body == args, "a large argument has come back another one");
    }
    Ok(())
}

async fn large_parameters(it: &mut Session<'_>) -> Outcome {
    it.init("echo").await?;
    let parameters = (0..1500).map(|n| (format!("p{n}"), json!(format!("{n}").repeat(25)))).collect();
    let args = Value::Object(parameters);
    ensure!(args.to_string().len() > 128 << 10, "that is not much: {}", args.to_string().len());
    ensure!(it.run(args.clone()).await?.body == args, "many parameters have come back others");
    Ok(())
}

async fn no_object(it: &mut Session<'_>) -> Outcome {
    it.init("text").await?;
    let response = it.try_run(json!({}), json!({})).await?.context("no answer")?;
    ensure!(response.status != 200, "text was taken as a result");
    // Both are upstream's: the older one is Node's.
    let texts =
        ["The action did not return a dictionary or array.", "The action did not return a dictionary."];
    ensure!(texts.contains(&response.error().as_str()), "{response:?}");
    Ok(())
}

async fn array_result(it: &mut Session<'_>) -> Outcome {
    it.init("array").await?;
    let expected = it.result("array as result", json!(["a", "b"]));
    same("the result", &it.run(json!({})).await?.body, &expected)
}

async fn array_argument(it: &mut Session<'_>) -> Outcome {
    it.init("echo").await?;
    let expected = it.result("array as argument", json!(["a", {"b": 1}]));
    same("the result", &it.run(json!(["a", {"b": 1}])).await?.body, &expected)
}

async fn archive(it: &mut Session<'_>, source: &str) -> Outcome {
    it.init(source).await?;
    let response = it.run(json!({"name": "Ada"})).await?;
    same("the result", &response.body, &json!({"greeting": "Hello Ada!"}))?;
    silent(&response)
}

async fn bad_archive(it: &mut Session<'_>) -> Outcome {
    let code = Code::Binary(b"PK\x03\x04 and no more of it".to_vec());
    let main = it.language.main.clone();
    let response = it.init_code(&code, &main, json!({})).await?.context("no answer to /init")?;
    ensure!(response.status != 200, "it was taken");
    holds("the error", &response.error(), &it.says("bad zip", "uncompressing"))
}

async fn exit_in_run(it: &mut Session<'_>) -> Outcome {
    it.leaves_output = true;
    it.init("exit").await?;
    ensure!(it.try_run(json!({}), json!({})).await?.is_none(), "an answer of an action that has ended");
    same("the container ends as its action", it.exit_code().await?, 3)
}

async fn exit_at_init(it: &mut Session<'_>) -> Outcome {
    it.leaves_output = true;
    let main = it.language.main.clone();
    let answer = it.try_init("exit_at_init", &main, json!({})).await?;
    ensure!(answer.is_none(), "an answer of an action that has ended: {answer:?}");
    same("the container ends as its action", it.exit_code().await?, 3)
}

async fn many_runs(it: &mut Session<'_>) -> Outcome {
    it.init("counter").await?;
    for count in 1..=50 {
        same("the count", &it.run(json!({})).await?.body, &json!({ "count": count }))?;
    }
    Ok(())
}

/// A case that only one language has.
pub async fn own(it: &mut Session<'_>, case: &Own) -> Outcome {
    let main = case.main.as_ref().unwrap_or(&it.language.main).clone();
    let init = it.try_init(&case.source, &main, json!({})).await?.context("no answer to /init")?;
    let args = if case.args.is_null() { json!({}) } else { case.args.clone() };
    let response = match init.status {
        200 => it.try_run(args, json!({})).await?.context("no answer to /run")?,
        _ => init,
    };
    match &case.result {
        Some(result) => {
            same("the status", response.status, 200)?;
            same("the result", &response.body, result)?;
        }
        None => holds("the error", &response.error(), case.error.as_deref().unwrap_or_default())?,
    }
    case.stderr.iter().try_for_each(|part| holds("stderr", &response.stderr, part))
}
