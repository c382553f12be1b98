//! Processes under measurement.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hyper::StatusCode;
use tempfile::TempDir;

use super::{
    Outcome,
    client::{Client, mtls},
};

/// The program that is measured, built like this one.
pub(super) const OKMSD: &str = env!("CARGO_BIN_EXE_okmsd");

const START_TIME: Duration = Duration::from_secs(30);
const TICKS_PER_SECOND: f64 = 100.0;

/// The files of a region with one domain, in a folder that goes away with this.
pub(super) struct Region {
    folder: TempDir,
}

impl Region {
    /// A region without files.
    pub(super) fn create() -> Outcome<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("okmsd-bench-").tempdir()? })
    }

    /// A file of the region.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The id of its domain, which exists once okmsd has run there.
    pub(super) fn id(&self) -> Outcome<String> {
        let text = fs::read_to_string(self.path("env.sh"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("export OKMS_ID='"));
        Ok(line.and_then(|line| line.strip_suffix('\'')).ok_or("env.sh has no OKMS_ID")?.to_owned())
    }

    /// The access certificate of its domain, and the key.
    pub(super) fn access(&self) -> Outcome<(PathBuf, PathBuf)> {
        let id = self.id()?;
        Ok((
            self.path(&format!("{id}_certificate.pem")),
            self.path(&format!("{id}_privatekey.pem")),
        ))
    }

    /// A client of its domain.
    pub(super) fn client(&self, server: &Server) -> Outcome<Client> {
        let (certificate, key) = self.access()?;
        Client::new(server.address, &self.path("region_ca.pem"), &certificate, &key)
    }
}

/// A running process; it ends with this.
pub(super) struct Server {
    process: Child,
    pub(super) address: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    /// okmsd on the region's files, which it makes where they are absent.
    pub(super) async fn okmsd(region: &Region, env: &[(&str, &str)]) -> Outcome<Self> {
        let (address, admin) = (free_port()?, free_port()?);
        let mut command = Command::new(OKMSD);
        command.arg("dev").arg("--dir").arg(region.folder.path());
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        Self::spawn(command.envs(env.iter().copied()), address, admin)?.ready().await
    }

    /// okmsd on files that are all there, and the time that it took to be ready.
    pub(super) async fn timed(region: &Region) -> Outcome<(Self, Duration)> {
        let (address, admin) = (free_port()?, free_port()?);
        let mut command = Command::new(OKMSD);
        command.arg("serve").arg("--config").arg(region.path("okmsd.toml"));
        command.env("OKMSD_SERVER__LISTEN", address.to_string());
        command.env("OKMSD_SERVER__ADMIN_LISTEN", admin.to_string());
        let started = Instant::now();
        let server = Self::spawn(&mut command, address, admin)?.ready().await?;
        Ok((server, started.elapsed()))
    }

    /// A reference of this program, on the region's certificates, without resumption if it is the
    /// acceptor.
    pub(super) async fn reference(region: &Region, name: &str, answer: &Path) -> Outcome<Self> {
        let address = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).arg(region.path("okmsd.toml")).arg(answer).arg(address.to_string());
        if name == "accept" {
            command.env("OKMSD_SERVER__SESSION_CACHE", "0");
        }
        Self::spawn(&mut command, address, address)?.listening(region).await
    }

    /// Another program on the region's certificates; what it says goes into the file `said`.
    pub(super) async fn other(
        region: &Region,
        command: &mut Command,
        address: SocketAddr,
        said: &Path,
    ) -> Outcome<Self> {
        let file = File::create(said)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let server = Self { process: command.spawn()?, address, admin: address };
        let server = server.listening(region).await;
        server.map_err(|error| {
            let said = fs::read_to_string(said).unwrap_or_default();
            format!("{error}: {}", said.lines().last().unwrap_or_default()).into()
        })
    }

    async fn listening(mut self, region: &Region) -> Outcome<Self> {
        let client = region.client(&self)?;
        let deadline = Instant::now() + START_TIME;
        while client.connect().await.is_err() {
            self.wait_a_little(deadline).await?;
        }
        Ok(self)
    }

    fn spawn(command: &mut Command, address: SocketAddr, admin: SocketAddr) -> Outcome<Self> {
        // All clients have one address, and connect as fast as they can.
        for key in ["ADDRESS_HANDSHAKES_PER_SECOND", "HANDSHAKES_PER_SECOND"] {
            command.env(format!("OKMSD_LIMITS__{key}"), "0");
        }
        // What helps who develops, and no server has that others rely on.
        command.env("OKMSD_DEV__HELPERS", "false");
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        Ok(Self { process, address, admin })
    }

    async fn ready(mut self) -> Outcome<Self> {
        let deadline = Instant::now() + START_TIME;
        while !matches!(self.admin("/readyz").await, Ok((StatusCode::OK, _))) {
            self.wait_a_little(deadline).await?;
        }
        Ok(self)
    }

    async fn wait_a_little(&mut self, deadline: Instant) -> Outcome<()> {
        if let Some(status) = self.process.try_wait()? {
            return Err(format!("a server ended at its start: {status}").into());
        }
        if Instant::now() > deadline {
            return Err("a server did not become ready".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    /// The value of the metric whose name and labels are `name`; 0 where there is none.
    pub(super) async fn metric(&self, name: &str) -> Outcome<f64> {
        let (_, text) = self.admin("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// The sum of all metrics whose names and labels begin so.
    pub(super) async fn sum(&self, begins: &str) -> Outcome<f64> {
        let (_, text) = self.admin("/metrics").await?;
        let values = text.lines().filter(|line| line.starts_with(begins));
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    async fn admin(&self, path: &str) -> Outcome<(StatusCode, String)> {
        let answer = mtls::get_plain(self.admin, path).await?;
        Ok((answer.status(), String::from_utf8(answer.into_body().into())?))
    }

    /// The processor time that the process has used.
    pub(super) fn cpu_seconds(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The command's name may hold anything; behind it the state comes first, user and system
        // time later.
        let (_, fields) = stat.rsplit_once(')').ok_or("no process statistics")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / TICKS_PER_SECOND)
    }

    /// The processor time that its threads of this name have used.
    pub(super) fn thread_cpu_seconds(&self, name: &str) -> Outcome<f64> {
        let mut seconds = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.trim_end() == name {
                seconds += scheduled_seconds(&task)?;
            }
        }
        Ok(seconds)
    }

    /// The memory that the process has resident.
    pub(super) fn resident_kib(&self) -> Outcome<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no memory statistics")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_over = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The processor time that a thread has used, by its folder in `/proc`.
pub(super) fn scheduled_seconds(task: &Path) -> Outcome<f64> {
    let nanos = fs::read_to_string(task.join("schedstat"))?;
    let nanos = nanos.split(' ').next().unwrap_or_default().parse::<u64>()?;
    Ok(Duration::from_nanos(nanos).as_secs_f64())
}

pub(super) fn free_port() -> Outcome<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
