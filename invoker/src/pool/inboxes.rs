//! Where containers get their commands: there from the moment that a container is decided on.
//!
//! Decisions are carried out by whoever caused them, several at once. So a container may be given a job, or be told to go,
//! before the one who decided to make it has begun to. What it is told waits in its inbox until then.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::decide::ContainerNo;

/// An inbox for each container.
#[derive(Debug)]
pub struct Inboxes<C>(HashMap<ContainerNo, Inbox<C>>);

#[derive(Debug)]
struct Inbox<C> {
    sender: mpsc::Sender<C>,
    /// Until its container begins to read.
    unread: Option<mpsc::Receiver<C>>,
}

impl<C> Default for Inboxes<C> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<C> Inboxes<C> {
    /// A container is decided on, which holds at most so many commands.
    pub fn open(&mut self, no: ContainerNo, bound: usize) {
        let (sender, inbox) = mpsc::channel(bound);
        self.0.insert(no, Inbox { sender, unread: Some(inbox) });
    }

    /// It begins to read. Once, and only if it was decided on.
    pub fn begin(&mut self, no: ContainerNo) -> Option<mpsc::Receiver<C>> {
        self.0.get_mut(&no)?.unread.take()
    }

    /// Tells it something; it comes back if the container is gone.
    pub fn send(&self, no: ContainerNo, command: C) -> Result<(), C> {
        let Some(inbox) = self.0.get(&no) else { return Err(command) };
        inbox.sender.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command) => command,
        })
    }

    /// It is gone.
    pub fn close(&mut self, no: ContainerNo) {
        self.0.remove(&no);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_container_is_told_before_it_is_made_waits_for_it() {
        let (mut inboxes, no) = (Inboxes::default(), ContainerNo(1));
        assert_eq!(inboxes.send(no, "nobody"), Err("nobody"));
        inboxes.open(no, 2);
        assert_eq!((inboxes.send(no, "run"), inboxes.send(no, "go")), (Ok(()), Ok(())));
        assert_eq!(inboxes.send(no, "too much"), Err("too much"));
        let mut inbox = inboxes.begin(no).expect("it was decided on");
        assert_eq!((inbox.try_recv(), inbox.try_recv()), (Ok("run"), Ok("go")));
        assert!(inboxes.begin(no).is_none(), "it reads already");
        inboxes.close(no);
        assert_eq!(inboxes.send(no, "late"), Err("late"));
    }
}
