//! The thread that starts all children: "die with the parent" means with the thread that started them,
//! and tokio's own threads come and go.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Starts that may wait for the thread; one takes about a millisecond.
const WAITING: usize = 256;

type Order = (Command, Handle, oneshot::Sender<std::io::Result<Child>>);

/// A handle to the thread, which ends with it.
#[derive(Debug)]
pub struct Spawner {
    orders: SyncSender<Order>,
}

impl Spawner {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (orders, inbox) = sync_channel::<Order>(WAITING);
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            for (mut command, runtime, reply) in inbox {
                let _runtime = runtime.enter();
                let child = command.spawn();
                // This end of the listening socket goes with the command.
                drop(command);
                if let Err(Ok(mut child)) = reply.send(child) {
                    // Nobody waits for it any more. A failure means that it is gone.
                    drop(child.start_kill());
                }
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a command.
    pub async fn spawn(&self, command: Command) -> anyhow::Result<Child> {
        let (reply, child) = oneshot::channel();
        match self.orders.try_send((command, Handle::current(), reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => bail!("too many processes are being started"),
            Err(TrySendError::Disconnected(_)) => bail!("the thread that starts processes has ended"),
        }
        child.await.context("the thread that starts processes has ended")?.context("cannot start the process")
    }
}
