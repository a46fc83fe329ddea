// SPDX-License-Identifier: Apache-2.0
//! tokio-twin: what bench-task does, on tokio's current_thread runtime.
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Notify};

async fn spawn_all(count: u64) {
    let mut handles = Vec::with_capacity(count as usize);
    for _ in 0..count {
        handles.push(tokio::spawn(async {}));
    }
    for handle in handles {
        handle.await.unwrap();
    }
}

async fn spawn_one(count: u64) {
    for _ in 0..count {
        tokio::spawn(async {}).await.unwrap();
    }
}

// Two wakes a round.
async fn notify(count: u64) {
    let ping = Arc::new(Notify::new());
    let pong = Arc::new(Notify::new());
    let (their_ping, their_pong) = (ping.clone(), pong.clone());
    let partner = tokio::spawn(async move {
        for _ in 0..count / 2 {
            their_ping.notified().await;
            their_pong.notify_one();
        }
    });
    for _ in 0..count / 2 {
        ping.notify_one();
        pong.notified().await;
    }
    partner.await.unwrap();
}

async fn channel(count: u64) {
    let (ping, mut their_ping) = mpsc::channel::<u64>(1);
    let (their_pong, mut pong) = mpsc::channel::<u64>(1);
    let partner = tokio::spawn(async move {
        for _ in 0..count / 2 {
            let value = their_ping.recv().await.unwrap();
            their_pong.send(value).await.unwrap();
        }
    });
    for i in 0..count / 2 {
        ping.send(i).await.unwrap();
        assert_eq!(pong.recv().await, Some(i));
    }
    partner.await.unwrap();
}

// A task per timer, between one and two seconds.
async fn timers(count: u64) {
    let mut random: u64 = 1;
    let mut handles = Vec::with_capacity(count as usize);
    let start = tokio::time::Instant::now() + Duration::from_secs(1);
    for _ in 0..count {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let deadline = start + Duration::from_nanos((random >> 33) % 1_000_000_000);
        handles.push(tokio::spawn(tokio::time::sleep_until(deadline)));
    }
    for handle in handles {
        handle.await.unwrap();
    }
}

// CPU in ticks of the kernel's accounting, and the peak of resident memory.
fn usage() -> (u64, u64) {
    let schedstat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let cpu_ns = schedstat.split(' ').next().unwrap().parse().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    (cpu_ns, peak.split_whitespace().nth(1).unwrap().parse().unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let count: u64 = arguments[2].parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (cpu_before, _) = usage();
    let start = Instant::now();
    runtime.block_on(async {
        match arguments[1].as_str() {
            "spawn-all" => spawn_all(count).await,
            "spawn-one" => spawn_one(count).await,
            "notify" => notify(count).await,
            "channel" => channel(count).await,
            "timers" => timers(count).await,
            _ => std::process::exit(2),
        }
    });
    let wall_ns = start.elapsed().as_nanos();
    let (cpu_after, peak_kib) = usage();
    println!("{} {} {}", wall_ns, cpu_after - cpu_before, peak_kib);
}
