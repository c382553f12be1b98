//! The end of a connection whose peer may still be sending.
//!
//! A socket that is closed while something unread lies in it is reset, and a reset takes away from
//! the peer what was sent to it before: the answer, or the alert that says why there is none. So we
//! stop sending, and read on for a moment. Always holds: that moment is bounded in time and in
//! bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIME: Duration = Duration::from_secs(2);
const BYTES: usize = 1 << 20;

/// Says goodbye, and waits until the peer has too.
pub(super) async fn linger(mut stream: TcpStream) {
    let all = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let (mut buffer, mut left) = ([0; 4096], BYTES);
        while let Ok(1..) =
            stream.read(&mut buffer).await.inspect(|read| left = left.saturating_sub(*read))
        {
            if left == 0 {
                return;
            }
        }
    };
    let _in_time = tokio::time::timeout(TIME, all).await;
}
