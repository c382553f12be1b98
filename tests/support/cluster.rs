//! Real PostgreSQL for a test: servers of its own on loopback, in a folder of its own, that end with it.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use okmsd::store::engines::postgres::{self, PostgresHost, PostgresOptions, RequireSync};

/// The programs of the newest PostgreSQL that is installed.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

/// Whether there is a PostgreSQL; where there has to be one and is not, the test fails.
pub fn is_there() -> bool {
    let there = programs().is_some();
    if !there {
        assert!(
            std::env::var("COMPAT_STRICT").as_deref() != Ok("1"),
            "PostgreSQL is not installed (apt-get install postgresql)"
        );
        eprintln!("skipped: PostgreSQL is not installed (apt-get install postgresql)");
    }
    there
}

/// A server with these settings that runs, and the folder that it is in; nothing where there is no PostgreSQL.
pub fn single(settings: &str) -> Option<(tempfile::TempDir, Node)> {
    if !is_there() {
        return None;
    }
    let folder = folder();
    let mut node = Node::init(folder.path(), "primary", settings);
    node.start();
    Some((folder, node))
}

/// Runs as whom PostgreSQL takes: it refuses root.
fn command(program: &str) -> Command {
    let program = programs().unwrap().join(program);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// A folder that PostgreSQL can write in.
pub fn folder() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("okmsd-pg").tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        let told = Command::new("id").args(["-u", "postgres"]).output().unwrap();
        let id: u32 = String::from_utf8(told.stdout).unwrap().trim().parse().unwrap();
        chown(dir.path(), Some(id), None).unwrap();
    }
    dir
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(mut command: Command) {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A server, running or not.
pub struct Node {
    data: PathBuf,
    pub port: u16,
    server: Option<Child>,
}

impl Node {
    /// A new and empty one below a folder of [`folder`], with these settings. Not started.
    pub fn init(folder: &Path, name: &str, settings: &str) -> Self {
        let data = folder.join(name);
        let mut init = command("initdb");
        init.args([
            "--no-sync",
            "--auth=trust",
            "--username=owner",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        run({
            init.arg("-D").arg(&data);
            init
        });
        let node = Self { data, port: free_port(), server: None };
        node.configure(settings);
        node
    }

    /// A standby of another one that runs, in the place of what was there of this name before. Not started.
    pub fn standby(folder: &Path, name: &str, port: u16, of: &Self) -> Self {
        let data = folder.join(name);
        let _ = fs::remove_dir_all(&data);
        let mut copy = command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "owner", "-R", "-X", "stream", "--checkpoint=fast"]);
        copy.args(["--no-sync", "-p", &of.port.to_string()]).arg("-D").arg(&data);
        run(copy);
        let node = Self { data, port, server: None };
        node.follow(name, of);
        node
    }

    /// A standby follows this one from now on.
    pub fn follow(&self, name: &str, of: &Self) {
        self.configure(&format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=owner application_name={name}'",
            of.port
        ));
        if self.server.is_some() {
            self.signal(rustix::process::Signal::HUP);
        }
    }

    /// Adds settings, of which the last counts.
    pub fn configure(&self, settings: &str) {
        let file = self.data.join("postgresql.auto.conf");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, format!("{before}\n{settings}\n")).unwrap();
    }

    pub fn start(&mut self) {
        let mut server = command("postgres");
        server.arg("-D").arg(&self.data).args([
            "-p",
            &self.port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            &format!("unix_socket_directories={}", self.data.display()),
            "-c",
            "shared_buffers=32MB",
            "-c",
            "max_connections=100",
        ]);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(server.spawn().unwrap());
        let began = Instant::now();
        while !self.answers() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", self.told());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// From now on the role `okmsd` gets in over TLS and by its password alone.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt;
        let write = |name: &str, text: &str| {
            let path = self.data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let of = fs::metadata(&self.data).unwrap();
            chown(&path, Some(std::os::unix::fs::MetadataExt::uid(&of)), None).unwrap();
        };
        write("server.crt", certificate);
        write("server.key", key);
        write(
            "pg_hba.conf",
            "local all owner trust\nhost all owner 127.0.0.1/32 trust\n\
             hostssl all okmsd 127.0.0.1/32 scram-sha-256\n",
        );
        self.configure("ssl = on");
        self.signal(rustix::process::Signal::HUP);
        let began = Instant::now();
        while self.sql("postgres", "show ssl") != "on" {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// What it has written to its log.
    pub fn told(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn answers(&self) -> bool {
        let mut ask = command("pg_isready");
        ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ask.status().unwrap().success()
    }

    /// What a statement gives, as psql shows it.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = command("psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "owner"]);
        psql.args(["-p", &self.port.to_string(), "-d", database, "-c", sql]);
        let out = psql.stdin(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// A session that does this in a transaction, and stays in it until it is killed.
    pub fn hold(&self, database: &str, sql: &str) -> Child {
        let mut psql = command("psql");
        psql.args(["-Xq", "-h", "127.0.0.1", "-U", "owner", "-p", &self.port.to_string()]);
        psql.args(["-d", database, "-c", &format!("begin; {sql}; select pg_sleep(60)")]);
        psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn pid(&self) -> i32 {
        self.server.as_ref().unwrap().id().try_into().unwrap()
    }

    /// Sends its main process a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it at once, as a loss of power ends it, but that what it wrote is there.
    pub fn kill(&mut self) {
        if self.server.is_some() {
            // Its children end when it does.
            self.signal(rustix::process::Signal::QUIT);
            self.server.take().unwrap().wait().unwrap();
        }
    }

    /// Its main process and all that this has started: they are stopped, or go on.
    pub fn signal_all(&self, signal: rustix::process::Signal) {
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        for pid in children.chain([self.pid()]) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            // One may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Makes a standby the one that takes writes.
    pub fn promote(&self) {
        self.sql("postgres", "select pg_promote(true, 30)");
    }

    /// Where it is.
    pub fn host(&self) -> PostgresHost {
        PostgresHost { host: "127.0.0.1".into(), port: self.port }
    }

    /// A new store in a database of this name, as [`Node::options`].
    pub async fn store(&self, database: &str) -> PostgresOptions {
        let options = self.options(database);
        assert!(postgres::init(&options, None, true).await.unwrap());
        options
    }

    /// How a store of its own in a new database of this name is reached by several hosts.
    pub fn options(&self, database: &str) -> PostgresOptions {
        self.sql("postgres", &format!("create database {database}"));
        PostgresOptions {
            require_sync: RequireSync::No,
            // Of a machine that does something else as well.
            connect_time: Duration::from_secs(10),
            max_stale: Duration::from_secs(5),
            commit_time: Duration::from_secs(10),
            unready_after: Duration::from_secs(10),
            ..PostgresOptions::new(vec![self.host()], database.into(), "owner".into())
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
