//! How a credential is put on a request: one file a scheme, and one line in `schemes!` below.

mod api_key;
mod authorize;
mod basic;
mod bearer;
mod credentials;
mod field;
mod hmac;
pub(crate) mod offer;
mod versions;

pub use self::authorize::Authorized;
pub(crate) use self::authorize::{AuthorizeError, authorize};
pub(crate) use self::credentials::{Credentials, Which};
pub(crate) use self::versions::{HttpVersions, WantedHttp};
use std::time::SystemTime;

use http::{HeaderName, header};

use crate::Secret;
use crate::config::error::Fault;
use crate::config::read::{At, Table};
use crate::fields::Fields;
use crate::message::RequestHead;
use crate::scrub::Forms;

/// Why a request cannot have this credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Verifiers differ in which of the values they take.
    #[error("a header field that is to be signed occurs more than once")]
    RepeatedField,
    #[error("no usable secret has been read for this upstream")]
    NoSecret,
    /// Cannot happen with parts that were checked at load.
    #[error("the credential is not legal in a header field")]
    NotLegal,
}

/// Makes the enum of all schemes, and hands each call on to the scheme at hand. A scheme's file has its `NAME`, a `read`
/// for its table, the type that `read` makes ([`StaticField`](field::StaticField), or one with the same functions), and
/// `offered`, which knows where a caller's SDK puts its key.
macro_rules! schemes {
    ($($module:ident::$Scheme:ident,)+) => {
        /// A configured credential, ready to be placed: what does not depend on the request was computed at load.
        pub(crate) enum Credential {
            $($Scheme($module::Placed),)+
        }

        /// The names of all schemes, as in `auth.NAME`.
        pub(crate) const SCHEMES: &[&str] = &[$($module::NAME,)+];

        impl Credential {
            /// Reads `auth.NAME`. `None`: there is no such scheme, or its table has a problem, which was noted.
            pub(crate) fn read(name: &str, table: &mut Table<'_>) -> Option<Self> {
                match name {
                    $($module::NAME => $module::read(table).map(Self::$Scheme),)+
                    _ => None,
                }
            }

            /// The name of the scheme.
            pub(crate) fn scheme(&self) -> &'static str {
                match self {
                    $(Self::$Scheme(_) => $module::NAME,)+
                }
            }

            /// The fields that are this credential's alone, besides `Authorization` and `Proxy-Authorization`: the
            /// caller's are removed, under any alias, before [`place`](Self::place).
            pub(crate) fn owned_headers(&self) -> &[HeaderName] {
                match self {
                    $(Self::$Scheme(placed) => placed.owned_headers(),)+
                }
            }

            /// Hands on what the caller put where its SDK would put this vendor's key. It goes no further: these
            /// are fields that are removed.
            pub(crate) fn offered(&self, fields: &Fields, take: impl FnMut(&[u8])) {
                match self {
                    $(Self::$Scheme(placed) => $module::offered(placed, fields, take),)+
                }
            }

            /// Where the body is signed: how many bytes of it may be held in memory for that.
            pub(crate) fn signs_body(&self) -> Option<u64> {
                match self {
                    $(Self::$Scheme(placed) => placed.signs_body(),)+
                }
            }

            /// Whether it is computed for each request, of what that says and when.
            fn is_signature(&self) -> bool {
                match self {
                    $(Self::$Scheme(placed) => placed.is_signature(),)+
                }
            }

            /// Whether the text that is signed says which version of HTTP the request is in.
            pub(crate) fn signs_request_line(&self) -> bool {
                match self {
                    $(Self::$Scheme(placed) => placed.signs_request_line(),)+
                }
            }

            /// Puts the credential on a request that is otherwise as it goes out: `head` has the target in origin-form
            /// and its `Host`; `body` is the whole body where [`signs_body`](Self::signs_body), else nothing.
            fn place(
                &self,
                head: &mut RequestHead,
                body: &[u8],
                now: fn() -> SystemTime,
            ) -> Result<(), PlaceError> {
                match self {
                    $(Self::$Scheme(placed) => placed.place(head, body, now),)+
                }
            }

            /// The forms in which an upstream could echo it, whatever the request.
            pub(crate) fn forms(&self) -> &Forms {
                match self {
                    $(Self::$Scheme(placed) => placed.forms(),)+
                }
            }

            /// Those that are of the request on which it was placed, and of no other.
            fn fresh_forms(&self, head: &RequestHead) -> Forms {
                match self {
                    $(Self::$Scheme(placed) => placed.fresh_forms(head),)+
                }
            }

            /// A worker's own copy: it shares no reference count with this one.
            pub(crate) fn replica(&self) -> Self {
                match self {
                    $(Self::$Scheme(placed) => Self::$Scheme(placed.replica()),)+
                }
            }
        }
    };
}

schemes! {
    basic::Basic,
    bearer::Bearer,
    api_key::ApiKey,
    hmac::Hmac,
}

/// Fields that frame the message or concern one connection: no credential can be in them, and none of them is the same
/// at both ends (RFC 9110 7.6.1).
fn concerns_connection(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 10] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        HeaderName::from_static("keep-alive"),
        header::PROXY_AUTHORIZATION,
        HeaderName::from_static("proxy-connection"),
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    NAMES.contains(name)
}

/// Reads the secret that follows `prefix` in a field value. One that already begins with the prefix would have it
/// twice; one with space at an end would not arrive as it is (RFC 9110 5.5).
fn read_token(table: &mut Table<'_>, key: &'static str, prefix: &str) -> Option<At<Secret>> {
    let secret = table.secret(key).and_then(|secret| without_prefix(table, secret, prefix))?;
    if secret.value.expose().trim_ascii().len() != secret.value.expose().len() {
        table.refuse_secret(&secret.place, "the secret begins or ends with a space");
        return None;
    }
    Some(secret)
}

/// Refuses a secret that already begins with what the scheme puts before it, in any case.
fn without_prefix(table: &Table<'_>, secret: At<Secret>, prefix: &str) -> Option<At<Secret>> {
    let beginning = secret.value.expose().get(..prefix.len()).unwrap_or_default();
    if prefix.is_empty() || !beginning.eq_ignore_ascii_case(prefix.as_bytes()) {
        return Some(secret);
    }
    let fault = Fault::new(format!("the secret already begins with `{prefix}`"));
    table.refuse_secret(&secret.place, fault.hint("sidekey puts it there: leave it out of the secret"));
    None
}

#[cfg(test)]
mod tests;
