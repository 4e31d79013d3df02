//! The `process_*` metrics, named as Prometheus' client libraries name them. What they are read from is opened before the
//! process gives up the file system.

use std::time::SystemTime;

use super::exposition::Exposition;
use super::families::seconds;

/// What the kernel knows of this process. Without `/proc`, or on another system, some metrics are left out.
pub(crate) struct ProcessFiles {
    began: SystemTime,
    #[cfg(target_os = "linux")]
    files: linux::Files,
}

impl ProcessFiles {
    /// To be called at the start.
    pub(crate) fn open() -> Self {
        Self {
            began: SystemTime::now(),
            #[cfg(target_os = "linux")]
            files: linux::Files::open(),
        }
    }

    /// When the process began.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }

    pub(super) fn write(&self, page: &mut Exposition) {
        page.gauge("process_start_time_seconds", "When the process began, in seconds since 1970.", |samples| {
            samples.add(&[], seconds(self.began));
        });
        #[cfg(target_os = "linux")]
        self.files.write(page);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::process::{Resource, getrlimit};
    use rustix::time::{ClockId, clock_gettime};

    use super::Exposition;

    pub(super) struct Files {
        memory: Option<File>,
        descriptors: Option<File>,
    }

    impl Files {
        pub(super) fn open() -> Self {
            Self { memory: File::open("/proc/self/statm").ok(), descriptors: File::open("/proc/self/fd").ok() }
        }

        pub(super) fn write(&self, page: &mut Exposition) {
            let time = clock_gettime(ClockId::ProcessCPUTime);
            page.counter("process_cpu_seconds", "Time that the process has spent computing.", |samples| {
                samples.add(&[], time.tv_sec as f64 + time.tv_nsec as f64 / 1e9);
            });
            let [size, resident] =
                self.pages().unwrap_or_default().map(|pages| pages * rustix::param::page_size() as u64);
            for (name, help, value) in [
                ("process_virtual_memory_bytes", "Address space that the process has.", Some(size)),
                ("process_resident_memory_bytes", "Memory that the process occupies.", Some(resident)),
                ("process_open_fds", "File descriptors that are open.", self.open_descriptors()),
                ("process_max_fds", "File descriptors that may be open.", getrlimit(Resource::Nofile).current),
            ] {
                if let Some(value) = value.filter(|value| *value > 0) {
                    page.gauge(name, help, |samples| samples.add(&[], value));
                }
            }
        }

        /// Address space and resident memory (proc_pid_statm(5)).
        fn pages(&self) -> Option<[u64; 2]> {
            let mut text = [0; 128];
            let length = self.memory.as_ref()?.read_at(&mut text, 0).ok()?;
            let mut fields = std::str::from_utf8(text.get(..length)?).ok()?.split(' ').map(str::parse);
            Some([fields.next()?.ok()?, fields.next()?.ok()?])
        }

        /// Since Linux 6.2 the folder's size is how many there are (proc_pid_fd(5)); before, it is 0.
        fn open_descriptors(&self) -> Option<u64> {
            Some(self.descriptors.as_ref()?.metadata().ok()?.len())
        }
    }
}
