//! The measures on systems that have none of them.

pub(super) mod memory {
    use crate::hardening::{Measure, NotHeld};

    pub(in crate::hardening) fn forbid_dumps() -> Measure {
        Err(NotHeld::Unsupported)
    }

    pub(in crate::hardening) fn forbid_core_files() -> Measure {
        Err(NotHeld::Unsupported)
    }
}

pub(super) mod files {
    use crate::hardening::{Measure, NotHeld, Places};

    pub(in crate::hardening) fn confine(_: &Places) -> Measure {
        Err(NotHeld::Unsupported)
    }
}

pub(super) mod programs {
    use crate::hardening::{Measure, NotHeld};

    pub(in crate::hardening) fn forbid_new_privileges() -> Measure {
        Err(NotHeld::Unsupported)
    }

    pub(in crate::hardening) fn forbid() -> Measure {
        Err(NotHeld::Unsupported)
    }
}
