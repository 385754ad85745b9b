//! The proxy between a client and a server that says back what it hears.

use super::{After, Cut, Fault, Plan, Proxy};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A server that says back what it hears, until its listener goes with the process.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read) = stream.read(&mut buffer) {
                    if read == 0 || stream.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn through(plan: Plan) -> (Proxy, TcpStream) {
    let proxy = Proxy::start("127.0.0.1:0", &echo(), plan).unwrap();
    let client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (proxy, client)
}

fn to_server(fault: Fault) -> Plan {
    Plan { seed: 5, to_server: vec![fault], ..Plan::default() }
}

/// Says something, and what came back until the other side said no more, or nothing came for a while.
fn said_back(client: &mut TcpStream, text: &[u8], patience: Duration) -> Vec<u8> {
    client.write_all(text).unwrap();
    client.set_read_timeout(Some(patience)).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while heard.len() < text.len() {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
    heard
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect()
}

#[test]
fn without_a_fault_everything_passes_in_its_order() {
    let (proxy, mut client) = through(Plan::default());
    let said = text(200_000);
    let mut sending = client.try_clone().unwrap();
    let copy = said.clone();
    let thread = std::thread::spawn(move || sending.write_all(&copy).unwrap());
    let mut heard = vec![0; said.len()];
    client.read_exact(&mut heard).unwrap();
    thread.join().unwrap();
    assert!(heard == said);
    let passed = proxy.passed();
    assert_eq!((passed.connections, passed.to_server, passed.faults), (1, 200_000, 0));
}

#[test]
fn pieces_latency_and_a_narrow_line_change_nothing_but_time() {
    for fault in [
        Fault::Pieces(3),
        Fault::Latency { least: Duration::from_millis(1), jitter: Duration::from_millis(2) },
        Fault::Bandwidth(100_000),
    ] {
        let (_proxy, mut client) = through(to_server(fault.clone()));
        assert_eq!(said_back(&mut client, &text(900), LONG), text(900), "{fault:?}");
    }
    let fault = Fault::Latency { least: Duration::from_millis(120), jitter: Duration::ZERO };
    let (_proxy, mut client) = through(to_server(fault));
    let began = Instant::now();
    assert_eq!(said_back(&mut client, b"x", LONG), b"x");
    assert!(began.elapsed() >= Duration::from_millis(120));
}

#[test]
fn a_cut_lets_exactly_so_many_bytes_pass() {
    let cut = |after, how| to_server(Fault::Cut { after, how });
    for (plan, passes) in [
        (cut(After::Bytes(500), Cut::Close), 500),
        (cut(After::Bytes(0), Cut::Close), 0),
        (cut(After::Bytes(900), Cut::Silence), 900),
    ] {
        let (proxy, mut client) = through(plan);
        said_back(&mut client, &text(900), SHORT);
        assert_eq!(proxy.passed().to_server, passes);
        assert_eq!(proxy.passed().faults, 1);
    }
}

#[test]
fn a_silent_connection_silences_no_other_and_one_way_is_one_way() {
    let cut = |how| Fault::Cut { after: After::Bytes(2), how };
    let plan = Plan { only: vec![0], ..to_server(cut(Cut::Silence)) };
    let (proxy, mut first) = through(plan);
    assert!(said_back(&mut first, b"hello", SHORT).len() <= 2);
    let mut second = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(said_back(&mut second, b"hello", LONG), b"hello");
    let (proxy, mut client) = through(to_server(cut(Cut::OneWaySilence)));
    assert_eq!(said_back(&mut client, b"hello", SHORT), b"he", "its answers still come");
    assert_eq!(proxy.passed().to_server, 2);
}

#[test]
fn a_half_open_connection_still_answers() {
    let plan = to_server(Fault::Cut { after: After::Bytes(4), how: Cut::HalfClose });
    let (_proxy, mut client) = through(plan);
    assert_eq!(said_back(&mut client, b"answered and lost", LONG), b"answ");
}

/// `COMMIT` was sent and is done, its answer never comes: the case that a connector must be asked about.
#[test]
fn a_pattern_is_found_over_two_pieces_and_passes_itself() {
    let plan =
        to_server(Fault::Cut { after: After::Pattern(b"COMMIT;".to_vec()), how: Cut::Silence });
    let (proxy, mut client) = through(plan);
    client.set_nodelay(true).unwrap();
    assert_eq!(said_back(&mut client, b"INSERT; COMM", LONG), b"INSERT; COMM");
    client.write_all(b"IT; SELECT").unwrap();
    let began = Instant::now();
    while proxy.passed().faults == 0 && began.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(5));
    }
    let passed = proxy.passed();
    assert_eq!((passed.to_server, passed.faults), (15, 1), "INSERT; COMMIT; and no more");
}

#[test]
fn a_stall_passes_and_corruption_is_by_the_seed() {
    let stall = Fault::Stall { after: After::Bytes(3), lasts: Duration::from_millis(80) };
    let (_proxy, mut client) = through(to_server(stall));
    let began = Instant::now();
    assert_eq!(said_back(&mut client, b"abcdef", LONG), b"abcdef");
    assert!(began.elapsed() >= Duration::from_millis(80));

    let wrong = |seed| {
        let plan = Plan { seed, ..to_server(Fault::Corrupt { one_in: 100 }) };
        let (_proxy, mut client) = through(plan);
        said_back(&mut client, &text(1_000), LONG)
    };
    let heard = wrong(5);
    let changed = heard.iter().zip(text(1_000)).filter(|(a, b)| **a != *b).count();
    assert!((1..50).contains(&changed), "{changed} of 1000");
    assert_eq!(heard, wrong(5));
    assert_ne!(heard, wrong(6));
}

#[test]
fn silence_ends_and_a_reset_is_told() {
    let (proxy, mut client) = through(Plan::default());
    assert_eq!(said_back(&mut client, b"one", LONG), b"one");
    proxy.fall_silent();
    // A piece that was being read when silence fell may pass; what is sent behind it waits.
    std::thread::sleep(Duration::from_millis(80));
    assert_eq!(said_back(&mut client, b"two", SHORT), b"");
    proxy.speak();
    client.set_read_timeout(Some(LONG)).unwrap();
    let mut heard = [0; 3];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"two");
    proxy.reset_all();
    let mut rest = Vec::new();
    // An end or an error; not a wait.
    let _ = client.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn plans_of_seeds_differ_and_let_later_connections_through() {
    let plans: Vec<Plan> = (0..50).map(Plan::by_seed).collect();
    assert_eq!(plans[7], Plan::by_seed(7));
    let kinds: std::collections::BTreeSet<String> = plans
        .iter()
        .flat_map(|plan| plan.to_server.iter().chain(&plan.to_client))
        .map(|fault| format!("{fault:?}").chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect();
    assert!(kinds.len() >= 5, "{kinds:?}");
    let (proxy, _first) = through(Plan::by_seed(3));
    drop(TcpStream::connect(proxy.address()).unwrap());
    let mut third = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(said_back(&mut third, &text(30_000), LONG), text(30_000));
}

#[test]
fn who_falls_into_an_ambush_is_cut_and_nobody_else() {
    let (proxy, mut first) = through(Plan::default());
    let mut second = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(said_back(&mut first, b"before", LONG), b"before");
    proxy.cut_behind(b"COMMIT\0", Cut::Silence);
    assert_eq!(said_back(&mut second, b"a COMMIT of no end", LONG), b"a COMMIT of no end");
    assert_eq!(said_back(&mut first, b"last COMMIT\0 and more", SHORT), b"");
    assert!(proxy.sprung());
    assert_eq!(said_back(&mut second, b"COMMIT\0", LONG), b"COMMIT\0");
    proxy.break_all();
    let reset = first.read(&mut [0]).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    proxy.cut_behind(b"COMMIT\0", Cut::Close);
    assert!(!proxy.sprung());
}

#[test]
fn a_client_whose_server_is_lost_is_told_nothing_until_the_line_breaks() {
    let (proxy, mut client) = through(Plan::default());
    assert_eq!(said_back(&mut client, b"x", LONG), b"x");
    proxy.lose_servers();
    assert_eq!(said_back(&mut client, b"y", SHORT), b"");
    let mut new = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(said_back(&mut new, b"z", LONG), b"z");
    proxy.break_all();
    client.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
