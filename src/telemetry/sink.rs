//! Where log lines wait until they are written: a request never waits for a disk, a terminal or a pipe.

use std::cell::OnceCell;
use std::io;
use std::mem;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines are written so often while there are any.
const INTERVAL: Duration = Duration::from_millis(20);
/// A thread whose lines nobody takes off the pipe keeps so many bytes of them, and counts the rest.
const MAX_WAITING: usize = 1024 * 1024;

/// How long the end of the log may take, where nobody reads it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log. [`finish`](Self::finish) writes what is left.
#[derive(Clone)]
pub(super) struct LogSink(Arc<Shared>);

struct Shared {
    /// One for each thread that logs, so that none waits for another.
    shards: Mutex<Vec<Arc<Shard>>>,
    /// Tells the writer that there is something; dropped, that there will be nothing more.
    bell: Mutex<Option<Sender<()>>>,
    /// Told, by falling silent, that the writer has ended.
    written: Mutex<Option<Receiver<()>>>,
}

#[derive(Default)]
struct Shard(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: usize,
}

thread_local! {
    static SHARD: OnceCell<Arc<Shard>> = const { OnceCell::new() };
}

impl LogSink {
    /// `notice` makes a line of how many lines were lost.
    pub(super) fn start(output: impl io::Write + Send + 'static, notice: fn(usize) -> String) -> Self {
        let (bell, rings) = mpsc::channel();
        let (done, written) = mpsc::channel::<()>();
        let shared = Arc::new(Shared {
            shards: Mutex::new(Vec::new()),
            bell: Mutex::new(Some(bell)),
            written: Mutex::new(Some(written)),
        });
        let weak = Arc::downgrade(&shared);
        let shards = move || weak.upgrade().map(|shared| lock(&shared.shards).clone()).unwrap_or_default();
        let writer = thread::Builder::new().name("log".into());
        // Without a thread there is no log; there will be no workers either, and `main` says so.
        let _ = writer.spawn(move || {
            write_lines(output, &rings, &shards, notice);
            drop(done);
        });
        Self(shared)
    }

    /// Writes everything that was logged until now, and ends the log; gives up where nobody reads it.
    pub(super) fn finish(&self) {
        drop(lock(&self.0.bell).take());
        if let Some(written) = lock(&self.0.written).take() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }

    pub(super) fn line_writer(&self) -> LineWriter<'_> {
        LineWriter(self)
    }

    /// Takes one whole line.
    pub(super) fn push(&self, line: &[u8]) {
        let first = SHARD.with(|shard| shard.get_or_init(|| self.new_shard()).push(line));
        if first && let Some(bell) = &*lock(&self.0.bell) {
            // A writer that is gone takes no more lines.
            let _ = bell.send(());
        }
    }

    fn new_shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::default());
        lock(&self.0.shards).push(Arc::clone(&shard));
        shard
    }
}

impl Shard {
    /// Whether it was empty before.
    fn push(&self, line: &[u8]) -> bool {
        let mut waiting = lock(&self.0);
        let first = waiting.lines.is_empty();
        if waiting.lines.len() + line.len() > MAX_WAITING {
            waiting.lost += 1;
        } else {
            waiting.lines.extend_from_slice(line);
        }
        first
    }

    fn take_into(&self, lines: &mut Vec<u8>) -> usize {
        let mut waiting = lock(&self.0);
        mem::swap(&mut waiting.lines, lines);
        mem::take(&mut waiting.lost)
    }
}

/// The writer's life: woken by the first line after a pause, it takes what all threads have, and lets more gather.
fn write_lines(
    mut output: impl io::Write,
    rings: &Receiver<()>,
    shards: &dyn Fn() -> Vec<Arc<Shard>>,
    notice: fn(usize) -> String,
) {
    let mut lines = Vec::new();
    let mut open = true;
    while open {
        open = rings.recv().is_ok() && gather(rings);
        for shard in shards() {
            lines.clear();
            let lost = shard.take_into(&mut lines);
            if lost > 0 {
                lines.extend_from_slice(notice(lost).as_bytes());
            }
            // Nowhere is left to say that the log cannot be written.
            let _ = write_patiently(&mut output, &lines);
        }
        let _ = output.flush();
    }
}

/// Lets lines gather, whichever other threads begin to log meanwhile. Whether there may be more after these.
fn gather(rings: &Receiver<()>) -> bool {
    let until = Instant::now() + INTERVAL;
    loop {
        match rings.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Writes all of it, though the output may be a pipe that somebody has made non-blocking.
#[expect(clippy::disallowed_methods, reason = "the log's own thread may wait: it is what the workers do not have to")]
fn write_patiently(output: &mut impl io::Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(INTERVAL),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A poisoned log is still a log.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes whole lines.
pub(super) struct LineWriter<'a>(&'a LogSink);

impl io::Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{INTERVAL, LogSink};

    struct Counting(Arc<AtomicU32>);

    impl io::Write for Counting {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_several_threads_gather_as_long_as_those_of_one() {
        let writes = Arc::new(AtomicU32::new(0));
        let sink = LogSink::start(Counting(Arc::clone(&writes)), |_| String::new());
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while began.elapsed() < Duration::from_millis(300) {
                        sink.push(b"line\n");
                        thread::yield_now();
                    }
                });
            }
        });
        sink.finish();
        let intervals = began.elapsed().div_duration_f64(INTERVAL).ceil();
        let written = writes.load(Ordering::Relaxed);
        assert!((2..=2 * (intervals as u32 + 1)).contains(&written), "{written} writes in {intervals} intervals");
    }
}
