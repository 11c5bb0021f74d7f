//! What stands between the platform and the network: TLS on all that it serves and uses, and what slow, many
//! or greedy clients get.

mod api_tls;
mod distributed;
mod kafka;
mod limits;
mod postgres;
mod slow;
