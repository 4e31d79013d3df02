//! What a line tells beside its time and level, where its fields are known beforehand. An event of `tracing` is for what
//! happens now and then; a line for each request is written without what that costs.

/// What is told in a line.
pub(in crate::telemetry) trait Told {
    fn target(&self) -> &'static str;

    fn tell(&self, fields: &mut impl Fields);
}

/// Takes the fields of a line, in their order. One that is not there is left out.
pub(in crate::telemetry) trait Fields {
    fn put_number(&mut self, name: &'static Name, value: u64);
    fn put_flag(&mut self, name: &'static Name, value: bool);
    fn put_text(&mut self, name: &'static Name, value: &str);
    /// As [`put_text`](Self::put_text), of a value that by its kind holds nothing that any format would escape.
    fn put_plain(&mut self, name: &'static Name, value: &str);

    #[inline(always)]
    fn number(&mut self, name: &'static Name, value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.put_number(name, value);
        }
    }

    #[inline(always)]
    fn flag(&mut self, name: &'static Name, value: impl Into<Option<bool>>) {
        if let Some(value) = value.into() {
            self.put_flag(name, value);
        }
    }

    #[inline(always)]
    fn text<'a>(&mut self, name: &'static Name, value: impl Into<Option<&'a str>>) {
        if let Some(value) = value.into() {
            self.put_text(name, value);
        }
    }

    #[inline(always)]
    fn plain<'a>(&mut self, name: &'static Name, value: impl Into<Option<&'a str>>) {
        if let Some(value) = value.into() {
            self.put_plain(name, value);
        }
    }
}

/// A field's name, and as JSON has it, with what stands before it.
pub(in crate::telemetry) struct Name {
    pub(super) plain: &'static str,
    /// Before a value without quotes, and before one with them.
    pub(super) bare: &'static str,
    pub(super) quoted: &'static str,
}

impl Name {
    /// Made by [`name!`].
    pub(in crate::telemetry) const fn new(plain: &'static str, bare: &'static str, quoted: &'static str) -> Self {
        Self { plain, bare, quoted }
    }
}

/// The [`Name`] of a literal.
macro_rules! name {
    ($name:literal) => {
        const { &$crate::telemetry::format::Name::new($name, concat!(",\"", $name, "\":"), concat!(",\"", $name, "\":\"")) }
    };
}
pub(in crate::telemetry) use name;
