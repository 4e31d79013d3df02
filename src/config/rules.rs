//! `allow` and `deny`: lists of rules, of an upstream or of a caller within one.

use super::error::Fault;
use super::read::{At, Table};
use crate::policy::rules::{Rule, RuleError, Rules};

/// The rules of the table that has both lists.
pub(super) fn read(table: &mut Table<'_>) -> Rules {
    let allow = read_list(table, "allow");
    let deny = read_list(table, "deny").unwrap_or_default();
    Rules { allow, deny }
}

/// A list of rules. `None`: there is none, where an empty one would say something.
pub(super) fn read_list(table: &mut Table<'_>, key: &'static str) -> Option<Vec<Rule>> {
    table.list(key, "a list of rules, such as `[\"GET /v2/**\"]`").map(|list| parse_all(table, list.value))
}

/// Parses what stands in a list.
pub(super) fn parse_all(table: &Table<'_>, texts: Vec<At<&str>>) -> Vec<Rule> {
    let parse = |At { value, place }| Rule::parse(value).map_err(|error| table.refuse(&place, fault(error))).ok();
    texts.into_iter().filter_map(parse).collect()
}

fn fault(error: RuleError) -> Fault {
    let fault = Fault::new(error.to_string());
    match error {
        RuleError::Ambiguous(why) => fault.hint(why.to_string()),
        RuleError::Wildcard => fault.hint("`*` is one segment, and `**` any number of them: `/v2/*`, `/v2/**`"),
        RuleError::Method => fault.hint("such as `GET`, `GET,HEAD`, `*`"),
        RuleError::Form | RuleError::NotRooted | RuleError::Query => fault,
    }
}
