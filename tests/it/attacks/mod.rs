//! What an attacker would try, one file for each: another process on the machine, a web page, a hostile caller, a hostile
//! upstream, a reader of logs. A test's name says the rule that stops it.

mod caller_token;
mod connection_names_credential;
mod crash_and_log_output;
mod credential_alias;
mod duplicate_authorization;
mod max_forwards;
mod path_escape;
#[cfg(target_os = "linux")]
mod process_memory_and_programs;
mod request_smuggling;
mod response_splitting;
mod rules;
mod trace_and_connect;
mod unknown_caller;
mod web_page;
mod web_page_in_chromium;
