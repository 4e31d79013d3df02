//! What an attacker would try, one file for each: another process on the machine, a web page, a hostile caller, a hostile
//! upstream, a reader of logs. A test's name says the rule that stops it.

mod caller_token;
mod path_escape;
mod rules;
mod unknown_caller;
