//! A store that speaks the protocol of S3: moto, from the registry of Python. It
//! checks the signature of each request.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::clients;

/// One with the bucket `backups`, which ends with the test.
pub struct S3 {
    child: Child,
    /// What its clients need to know, as the environment has it.
    pub environment: [(&'static str, String); 4],
}

impl S3 {
    pub fn start() -> Self {
        let mut child = clients::program("s3_server.py", "moto")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let [url, id, secret] = words.try_into().expect("the store says where it is");
        let environment = [
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_REGION", "us-east-1".to_owned()),
        ];
        Self { child, environment }
    }

    /// The secret of its key.
    pub fn secret(&self) -> &str {
        &self.environment[2].1
    }

    /// The command, with the store in its environment.
    pub fn configured(&self, mut command: Command) -> Command {
        command.envs(self.environment.clone());
        command
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
