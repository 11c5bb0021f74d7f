//! What the action prints: read all the time, passed on to our own output, and counted.
//!
//! The counts replace upstream's sentinel lines: each response says how many bytes went out on each
//! stream since the one before. So nothing may reach our own output but through here, and before a
//! response all that was printed up to the result must be out: the pipes are read up to what the kernel
//! says is in them at that moment, not to their end, which an action that prints without pause never lets
//! anybody reach.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// How much is read at a time: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;
/// How much a stream may read before the other tasks get their turn.
const CHUNKS_IN_A_ROW: usize = 16;
/// How much of stderr is kept to explain why a launcher ended while it was loading.
const TAIL: usize = 4 * 1024;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// Bytes passed on since the last response. They outlive a launcher that failed to load.
#[derive(Debug, Default)]
pub struct Counts {
    stdout: Cell<u64>,
    stderr: Cell<u64>,
}

impl Counts {
    /// Takes both counts, for one response.
    pub fn take(&self) -> (u64, u64) {
        (self.stdout.take(), self.stderr.take())
    }

    /// Writes to our own output and counts. If nobody reads there any more, the bytes are lost.
    pub fn forward(&self, output: Output, bytes: &[u8]) {
        let count = match output {
            Output::Stdout => {
                write_all(io::stdout(), bytes);
                &self.stdout
            }
            Output::Stderr => {
                write_all(io::stderr(), bytes);
                &self.stderr
            }
        };
        count.set(count.get() + bytes.len() as u64);
    }
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Somebody made our output non-blocking; wait for the reader all the same.
                if poll(&mut [PollFd::new(&to, PollFlags::OUT)], None).is_err_and(|e| e != Errno::INTR) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// The two pipes of one launcher.
pub struct Logs {
    streams: [Rc<Stream>; 2],
    pumps: [JoinHandle<()>; 2],
}

impl Logs {
    /// Starts reading. Needs a `LocalSet`.
    pub fn start(counts: &Rc<Counts>, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Self> {
        let streams = [
            Rc::new(Stream::new(counts, Output::Stdout, stdout)?),
            Rc::new(Stream::new(counts, Output::Stderr, stderr)?),
        ];
        let pumps = [&streams[0], &streams[1]].map(|stream| tokio::task::spawn_local(pump(stream.clone())));
        Ok(Self { streams, pumps })
    }

    /// Passes on all that has been printed so far.
    pub fn drain(&self) {
        for stream in &self.streams {
            stream.drain();
        }
    }

    /// The end of what was printed on stderr while the launcher was loading.
    pub fn stop_tail(&self) -> String {
        let tail = self.streams[1].tail.take().unwrap_or_default();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        for pump in &self.pumps {
            pump.abort();
        }
    }
}

struct Stream {
    counts: Rc<Counts>,
    output: Output,
    pipe: Receiver,
    buffer: RefCell<Box<[u8]>>,
    tail: RefCell<Option<Vec<u8>>>,
}

impl Stream {
    fn new(counts: &Rc<Counts>, output: Output, pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            counts: counts.clone(),
            output,
            pipe: Receiver::from_owned_fd(pipe)?,
            buffer: RefCell::new(vec![0; CHUNK].into()),
            tail: RefCell::new((output == Output::Stderr).then(Vec::new)),
        })
    }

    /// Passes on what `read` puts into the buffer; tells how much that was.
    fn pass_on(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let mut buffer = self.buffer.borrow_mut();
        let length = read(&mut buffer)?;
        self.counts.forward(self.output, &buffer[..length]);
        if let Some(tail) = self.tail.borrow_mut().as_mut() {
            tail.extend_from_slice(&buffer[..length]);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        Ok(length)
    }

    /// Asks the pipe itself: what tokio knows of it may be older than the answer just received.
    fn drain(&self) {
        let mut left = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0) as usize;
        while left > 0 {
            let read = |buffer: &mut [u8]| {
                let length = left.min(buffer.len());
                Ok(rustix::io::read(&self.pipe, &mut buffer[..length])?)
            };
            match self.pass_on(read) {
                Ok(0) => return,
                Ok(length) => left -= length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

async fn pump(stream: Rc<Stream>) {
    while stream.pipe.readable().await.is_ok() {
        for _ in 0..CHUNKS_IN_A_ROW {
            match stream.pass_on(|buffer| stream.pipe.try_read(buffer)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        tokio::task::yield_now().await;
    }
}
