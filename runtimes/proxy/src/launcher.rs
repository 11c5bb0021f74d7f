//! One launcher: the child process that has loaded the action's code.
//!
//! Lines of JSON go in on its descriptor 0, answers come out on descriptor 3, the first of which says
//! whether the code could be loaded. Both ends are watched at once with the process itself: another
//! process that inherited descriptor 3 would keep it open for ever.
//!
//! A compiled action is its own launcher: the code's file `exec`. Not every one acknowledges: those that
//! upstream's images for Go make do, as do ours, which leave `exec.env` beside it; others may not know how.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::code;
use crate::logs::{Counts, Logs};

/// The longest answer that is taken from a launcher.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How much room there is for one read: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;
/// What the launcher keeps of our own environment, besides every `__OW_*`.
const KEPT_VARIABLES: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// How variables begin that mean something only to a process that is being started: to an interpreter, the C
/// library, or the time zone that it has read once.
const READ_AT_START: [&str; 9] = ["PYTHON", "RUBY", "GEM_", "BUNDLE_", "PHP", "LD_", "LANG", "LC_", "TZ"];

/// Beside a program that was compiled for an image: that image's name (upstream: `OW_EXECUTION_ENV`). Such
/// a program acknowledges.
pub const MARK: &str = "exec.env";
/// How long a program that does not acknowledge has to fail in (upstream's 5 ms).
const FIRST_MOMENTS: Duration = Duration::from_millis(5);

/// How a launcher is started.
#[derive(Debug)]
pub struct LaunchCommand {
    guard: Vec<OsString>,
    program: Program,
}

/// Which program speaks for the action.
#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// This one, which is given the code's folder and the name of the function.
    Launcher(Vec<OsString>),
    /// The same, started before there is any code, without these: it reads them from its first line.
    Waiting(Vec<OsString>),
    /// The code itself.
    Code {
        /// Whether it acknowledges, also without a mark.
        acknowledges: bool,
    },
}

/// Why there is no launcher. `Display` is what the action's developer reads.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot start action: {0}")]
    Start(#[from] io::Error),
    /// There is nothing that could be started.
    #[error("{0}")]
    NoProgram(&'static str),
    /// It said what is wrong with the code.
    #[error("{0}")]
    Refused(String),
    /// It ended before it said anything, but for what it printed.
    #[error("Command exited abruptly during initialization.\n{printed}")]
    Exited { printed: String, code: u8 },
}

/// The launcher ended, or gave up its channel, and there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("the action's process has ended")]
pub struct Gone;

/// A launcher that has loaded its code.
pub struct Launcher {
    stdin: ChildStdin,
    acknowledges: bool,
    answers: Answers,
    logs: Logs,
    id: Option<u32>,
    exited: watch::Receiver<Option<u8>>,
    /// Owns the process, and kills it when it is aborted.
    reaper: JoinHandle<()>,
}

/// The first answer.
#[derive(Deserialize)]
struct Ack {
    ok: bool,
    error: Option<String>,
}

/// What source code is answered with where nobody has compiled it.
const SOURCE: &str = "The action's code is source, and there is no compiler here. Compile it with the builder \
                      image of its language (docker run -i IMAGE-builder -compile MAIN <SOURCE >action.zip) and \
                      create the action from the archive.";
const NO_EXEC: &str = "The action's archive holds no program called 'exec'.";

impl LaunchCommand {
    /// `guard` is what stands before the program's own words; it may be empty.
    pub fn new(guard: Vec<OsString>, program: Program) -> Self {
        Self { guard, program }
    }

    /// The command for the code in `folder`, and whether it acknowledges.
    fn for_code(&self, folder: &Path, main: &str) -> Result<(std::process::Command, bool), LaunchError> {
        let mut words = self.guard.clone();
        let mut mark = None;
        let acknowledges = match &self.program {
            Program::Launcher(launcher) | Program::Waiting(launcher) => {
                words.extend(launcher.iter().cloned());
                words.extend([folder.into(), main.into()]);
                true
            }
            Program::Code { acknowledges } => {
                mark = fs::read_to_string(folder.join(MARK)).ok();
                words.push(program_in(folder)?.into());
                *acknowledges || mark.is_some()
            }
        };
        let mut command = prepare(words, acknowledges);
        command.current_dir(folder);
        if let Some(mark) = mark {
            command.env("__OW_EXECUTION_ENV", mark.trim());
        }
        Ok((command, acknowledges))
    }

    /// The command of a launcher that waits for its code, if this one can.
    fn for_later(&self) -> Option<std::process::Command> {
        let Program::Waiting(launcher) = &self.program else { return None };
        Some(prepare(self.guard.iter().chain(launcher).cloned().collect(), true))
    }
}

/// The command of these words, with the environment that every launcher gets.
fn prepare(words: Vec<OsString>, acknowledges: bool) -> std::process::Command {
    let mut words = words.into_iter();
    let mut command = std::process::Command::new(words.next().unwrap_or_default());
    command.args(words);
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs(std::env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| KEPT_VARIABLES.contains(&name) || name.starts_with("__OW_"))
    }));
    if acknowledges {
        command.env("__OW_WAIT_FOR_ACK", "1");
    }
    command
}

/// The program that the code is. An archive may have lost the right to run it.
fn program_in(folder: &Path) -> Result<PathBuf, LaunchError> {
    let exec = folder.join("exec");
    let mut head = Vec::new();
    match File::open(&exec) {
        Ok(file) => file.take(4).read_to_end(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LaunchError::NoProgram(NO_EXEC)),
        Err(error) => return Err(error.into()),
    };
    if !code::is_program(&head) {
        return Err(LaunchError::NoProgram(SOURCE));
    }
    fs::set_permissions(&exec, Permissions::from_mode(0o755))?;
    Ok(exec)
}

impl Launcher {
    /// Starts a launcher on the code in `folder`. It is of use once it has [`loaded`](Self::loaded).
    pub fn start(
        command: &LaunchCommand,
        counts: &Rc<Counts>,
        folder: &Path,
        main: &str,
        env: &[(String, String)],
    ) -> Result<Self, LaunchError> {
        let (mut command, acknowledges) = command.for_code(folder, main)?;
        command.envs(env.iter().map(|(name, value)| (name, value)));
        Ok(Self::spawn(command, acknowledges, counts)?)
    }

    /// Starts a launcher that waits for its code, if the command is one that can: what an interpreter needs to
    /// start is then over before /init. It gets its code by [`load`](Self::load).
    pub fn start_waiting(command: &LaunchCommand, counts: &Rc<Counts>) -> io::Result<Option<Self>> {
        command.for_later().map(|command| Self::spawn(command, true, counts)).transpose()
    }

    fn spawn(
        mut command: std::process::Command,
        acknowledges: bool,
        counts: &Rc<Counts>,
    ) -> io::Result<Self> {
        let (answers, answers_of_child) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        command
            .fd_mappings(vec![FdMapping { parent_fd: answers_of_child, child_fd: 3 }])
            .map_err(io::Error::other)?;
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?.into_owned_fd()?;
        let stderr = child.stderr.take().ok_or_else(missing)?.into_owned_fd()?;
        let (exit, exited) = watch::channel(None);
        Ok(Self {
            stdin,
            acknowledges,
            id: child.id(),
            answers: Answers::new(answers)?,
            logs: Logs::start(counts, stdout, stderr)?,
            exited,
            reaper: tokio::task::spawn_local(reap(child, exit)),
        })
    }

    /// The process id, as long as there is a process.
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Whether a launcher that was started [waiting](Self::start_waiting) can take code with these variables.
    pub fn can_load(&self, env: &[(String, String)]) -> bool {
        let early = |name: &str| READ_AT_START.iter().any(|prefix| name.starts_with(prefix));
        self.exited.borrow().is_none() && !env.iter().any(|(name, _)| early(name))
    }

    /// Gives its code to a launcher that waits for it.
    pub async fn load(
        &mut self,
        folder: &Path,
        main: &str,
        env: &[(String, String)],
    ) -> Result<(), LaunchError> {
        let env: serde_json::Map<_, _> =
            env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let order = serde_json::json!({ "code_dir": folder, "main": main, "env": env });
        self.acknowledged(format!("{order}\n").as_bytes()).await
    }

    /// Waits until the launcher has said whether the code is loaded, or, where it will not say, has outlived
    /// its first moments.
    pub async fn loaded(&mut self) -> Result<(), LaunchError> {
        if !self.acknowledges {
            return self.outlived().await;
        }
        self.acknowledged(b"").await
    }

    async fn acknowledged(&mut self, order: &[u8]) -> Result<(), LaunchError> {
        let answer = self.next_answer(order).await;
        let printed = self.logs.stop_tail();
        let refused = "The action did not initialize properly.";
        match answer.as_deref().map(serde_json::from_slice::<Ack>) {
            Ok(Ok(Ack { ok: true, .. })) => Ok(()),
            Ok(Ok(Ack { error: Some(error), .. })) => Err(LaunchError::Refused(error)),
            Ok(_) => Err(LaunchError::Refused(refused.to_owned())),
            Err(Gone) => Err(LaunchError::Exited { printed, code: self.exit_code().await }),
        }
    }

    async fn outlived(&mut self) -> Result<(), LaunchError> {
        let exited = tokio::time::timeout(FIRST_MOMENTS, self.exited.wait_for(Option::is_some)).await.is_ok();
        self.logs.drain();
        let printed = self.logs.stop_tail();
        if exited {
            return Err(LaunchError::Exited { printed, code: self.exit_code().await });
        }
        // Nothing was asked yet: what it has said is an acknowledgement after all.
        self.answers.waiting_line();
        Ok(())
    }

    /// Sends a request, which has to be one line, and waits for the answer. When this returns, all that
    /// was printed before the answer has been passed on.
    pub async fn run(&mut self, request: &[u8]) -> Result<Vec<u8>, Gone> {
        self.next_answer(request).await
    }

    async fn next_answer(&mut self, request: &[u8]) -> Result<Vec<u8>, Gone> {
        let (stdin, answers) = (&mut self.stdin, &mut self.answers);
        let interaction = async {
            stdin.write_all(request).await?;
            answers.line().await
        };
        let answer = tokio::select! {
            biased;
            answer = interaction => answer.ok().flatten(),
            _ = self.exited.wait_for(Option::is_some) => None,
        };
        // It may have answered and then ended before anybody looked.
        let answer = answer.or_else(|| self.answers.waiting_line());
        if answer.is_none() {
            self.exit_code().await;
        }
        self.logs.drain();
        answer.ok_or(Gone)
    }

    /// Tells when the process has ended, and as what.
    pub fn exited(&self) -> watch::Receiver<Option<u8>> {
        self.exited.clone()
    }

    /// Passes on all that has been printed so far.
    pub fn drain(&self) {
        self.logs.drain();
    }

    /// Waits until the process has ended. One that closed its channel has little time to do so by itself.
    pub async fn exit_code(&mut self) -> u8 {
        let patience = Duration::from_secs(1);
        if tokio::time::timeout(patience, self.exited.wait_for(Option::is_some)).await.is_err() {
            self.reaper.abort();
        }
        self.exited.borrow().unwrap_or(1)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.reaper.abort();
    }
}

async fn reap(mut child: Child, exit: watch::Sender<Option<u8>>) {
    let status = child.wait().await;
    exit.send_replace(Some(status.map_or(1, exit_code)));
}

/// As a shell counts: a signal's number is above 128.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Our end of descriptor 3.
struct Answers {
    pipe: Receiver,
    received: Vec<u8>,
    searched: usize,
}

impl Answers {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(pipe)?, received: Vec::new(), searched: 0 })
    }

    /// The next line without its end; `None` when the channel was closed. Cancel safe.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.received_line() {
                return Ok(Some(line));
            }
            self.pipe.readable().await?;
            self.make_room()?;
            match self.pipe.try_read_buf(&mut self.received) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next line if all of it is in the pipe already, whatever tokio knows of the pipe.
    fn waiting_line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.received_line() {
                return Some(line);
            }
            self.make_room().ok()?;
            match rustix::io::read(&self.pipe, rustix::buffer::spare_capacity(&mut self.received)) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.received.len() > MAX_ANSWER {
            return Err(io::Error::other("the answer is too long"));
        }
        self.received.reserve(CHUNK);
        Ok(())
    }

    fn received_line(&mut self) -> Option<Vec<u8>> {
        let end = self.received[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.received.len();
            return None;
        };
        let rest = self.received.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.received, rest);
        self.searched = 0;
        line.truncate(end);
        Some(line)
    }
}
