// SPDX-License-Identifier: Apache-2.0
//! The same requests as vck-fetch makes, with tokio's current_thread runtime.
//!
//!     net-tokio CONNECTIONS WINDOW PORT
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

async fn one(address: std::net::SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut buffer = [0u8; 1024];
    let size = stream.read(&mut buffer).await?;
    Ok(buffer[..size].starts_with(b"HTTP/1.1 200"))
}

fn peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(0)
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().expect("a number")).collect();
    let (count, window, port) = (numbers[0], numbers[1], numbers[2]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port as u16));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let left = Rc::new(Cell::new(count));
    let replies = Rc::new(Cell::new(0u64));
    let start = Instant::now();
    local.block_on(&runtime, async {
        let lanes: Vec<_> = (0..window)
            .map(|_| {
                let (left, replies) = (left.clone(), replies.clone());
                tokio::task::spawn_local(async move {
                    while left.get() > 0 {
                        left.set(left.get() - 1);
                        if let Ok(true) = one(address).await {
                            replies.set(replies.get() + 1);
                        }
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.await.unwrap();
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{{\"replies\": {}, \"seconds\": {:.6}, \"requests_per_second\": {:.1}, \"peak_kib\": {}}}",
        replies.get(), seconds, replies.get() as f64 / seconds, peak_kib()
    );
    std::process::exit((replies.get() != count) as i32);
}
