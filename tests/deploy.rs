//! What is under `deploy/`: each setting that it names is one, what it starts has no more
//! rights than it needs, and what is said twice is said alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod files;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use ragtime_policy::key::Credential;
use serde_json::{Value, json};

use files::{
    compose, default_of, drain_seconds, files, in_force, instructions, kubernetes, last_stage,
    manifest, of_the_image, pod, port_of, settings, text, toml, unit, variables, version,
};

/// The root of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The user of the image, who owns `/data` in it.
const USER: &str = "65532";

#[test]
fn every_variable_is_one_that_is_read() {
    let settings = settings();
    assert!(settings.contains("server.listen") && settings.contains("auth.bootstrap_key"));
    // Those of the command line.
    let read: BTreeSet<_> =
        files("host/src").iter().flat_map(|(_, text)| variables(text)).collect();
    for (path, text) in files("deploy").into_iter().chain(files(".github")) {
        for variable in variables(&text) {
            let known = match variable["RAGTIME_".len()..].split_once("__") {
                Some((section, key)) => {
                    settings.contains(&format!("{section}.{key}").to_lowercase())
                }
                None => read.contains(&variable),
            };
            assert!(known, "{}: {variable}", path.display());
        }
    }
}

#[test]
fn every_key_of_a_settings_file_is_a_setting() {
    let settings = settings();
    for (path, text) in files("deploy") {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        for (section, keys) in toml(&text).as_object().unwrap() {
            for key in keys.as_object().unwrap().keys() {
                let name = format!("{section}.{key}");
                assert!(settings.contains(&name), "{}: {name}", path.display());
            }
        }
    }
}

#[test]
fn the_server_takes_the_settings_of_each_deployment() {
    let image = of_the_image();
    let limits = ["handler.max_total_memory_bytes", "data.max_loaded_index_bytes"];
    let compose = compose();
    let compose = compose["environment"].as_object().unwrap().iter();
    // The file is the operator's.
    let compose = compose.filter(|(name, _)| *name != "RAGTIME_CONFIG");
    let compose = compose.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    let file = Path::new(ROOT).join("deploy/kubernetes/ragtime.toml");
    let kubernetes = [("RAGTIME_CONFIG".to_owned(), file.to_str().unwrap().to_owned())];
    for further in [compose.collect::<Vec<_>>(), kubernetes.to_vec()] {
        let settings = in_force(&[image.clone(), further].concat());
        assert_eq!(settings["server"]["listen"], format!("0.0.0.0:{}", port_of("server")));
        assert_eq!(settings["admin"]["listen"], default_of("admin", "listen"));
        assert_eq!(settings["data"]["dir"], "/data/store");
        assert_eq!(settings["model"]["dir"], "/data/model");
        for limit in limits {
            let (section, key) = limit.split_once('.').unwrap();
            assert_eq!(settings[section][key], 1 << 30, "{limit}");
        }
    }
}

#[test]
fn ports_are_the_defaults_and_the_admin_port_is_published_nowhere() {
    let (port, admin) = (port_of("server"), port_of("admin"));
    let stage = last_stage();
    assert!(stage.contains(&format!("EXPOSE {port}")));
    let check = json!(["ragtime", "health"]);
    let line = stage.iter().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    let command = line.split_once(" CMD ").unwrap().1;
    assert_eq!(serde_json::from_str::<Value>(command).unwrap(), check);
    let compose = compose();
    assert_eq!(compose["ports"], json!([format!("127.0.0.1:{port}:{port}")]));
    assert_eq!(compose["healthcheck"]["test"].as_array().unwrap()[1..], *check.as_array().unwrap());
    assert_eq!(kubernetes("service")["spec"]["ports"][0]["port"], port);
    let pod = pod();
    let ports = &pod["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, json!([{ "name": "http", "containerPort": port }]));
    for (path, text) in files("deploy/kubernetes") {
        assert!(!text.contains(&admin), "{}", path.display());
    }
}

#[test]
fn versions_are_those_of_the_workspace() {
    let toolchain = toml(&text("rust-toolchain.toml"))["toolchain"]["channel"].take();
    let argument = format!("ARG RUST_VERSION={}", toolchain.as_str().unwrap());
    assert!(instructions().contains(&argument), "{argument}");
    let version = version();
    assert!(last_stage().contains(&format!("ARG VERSION={version}")));
    assert_eq!(compose()["image"], format!("ragtime:{version}"));
    assert_eq!(kubernetes("kustomization")["images"][0]["newTag"], version);
}

#[test]
fn the_image_has_the_binary_and_the_notices_and_no_root() {
    let stage = last_stage();
    assert!(stage[0].starts_with("FROM gcr.io/distroless/"), "{}", stage[0]);
    assert!(!stage.iter().any(|line| line.starts_with("RUN ")));
    let copies: Vec<_> = stage.iter().filter_map(|line| line.strip_prefix("COPY ")).collect();
    let owner = format!("--from=build --chown={USER}:{USER} /out/data /data");
    assert_eq!(
        copies,
        [
            "--from=build /out/ragtime /usr/local/bin/",
            "--from=build /out/LICENSE /out/NOTICE.md /usr/share/doc/ragtime/",
            &owner,
        ]
    );
    let user = stage.iter().position(|line| *line == format!("USER {USER}:{USER}")).unwrap();
    assert!(!stage[user + 1..].iter().any(|line| line.starts_with("USER ")));
    assert!(stage.contains(&"VOLUME [\"/data\"]".to_owned()));
}

#[test]
fn the_container_of_compose_has_no_rights_and_bounds() {
    let service = compose();
    assert_eq!(service["read_only"], "true");
    assert_eq!(service["cap_drop"], json!(["ALL"]));
    assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
    assert_eq!(service["user"], format!("{USER}:{USER}"));
    assert_eq!(service["volumes"], json!(["data:/data"]));
    let limits = &service["deploy"]["resources"]["limits"];
    for limit in ["cpus", "memory", "pids"] {
        assert!(limits[limit].is_string(), "{limit}");
    }
    let grace = service["stop_grace_period"].as_str().unwrap().trim_end_matches('s');
    assert!(grace.parse::<u64>().unwrap() > drain_seconds());
    let secret = &manifest("deploy/compose.yaml")["secrets"]["settings"]["file"];
    let ignored = text("deploy/.gitignore");
    let folder = secret.as_str().unwrap().trim_start_matches('.').rsplit_once('/').unwrap().0;
    assert!(ignored.lines().any(|line| line.trim_end_matches('/') == folder), "{secret}");
}

#[test]
fn the_hosts_of_a_fleet_are_like_the_one_that_is_alone_and_nobody_else_reaches_the_database() {
    let mut file = manifest("deploy/compose.fleet.yaml");
    let mut services = file["services"].take();
    for name in ["postgres", "valkey"] {
        let service = services.as_object_mut().unwrap().remove(name).unwrap();
        assert_eq!(service["networks"], json!(["database"]), "{name}");
        assert_eq!(service["ports"], Value::Null, "{name}");
        assert!(service["healthcheck"].is_object(), "{name}");
    }
    assert_eq!(file["networks"]["database"]["internal"], "true");
    let alone = json!({"file": "compose.yaml", "service": "ragtime"});
    let (mut ports, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    let services = services.as_object().unwrap();
    for (name, service) in services {
        assert_eq!(service["extends"], alone, "{name}");
        let variables =
            json!({"RAGTIME_FLEET__NAME": name, "RAGTIME_FLEET__REDIS": "redis://valkey:6379"});
        assert_eq!(service["environment"], variables);
        assert_eq!(service["depends_on"].as_object().unwrap().len(), 2, "{name}");
        ports.insert(service["ports"].to_string());
        // A data folder has one host.
        volumes.insert(service["volumes"].to_string());
    }
    assert_eq!((services.len(), ports.len(), volumes.len()), (3, 3, 3));
    let secrets = manifest("deploy/compose.yaml")["secrets"]["settings"].take();
    assert_eq!(file["secrets"]["settings"], secrets);
}

#[test]
fn the_pod_is_of_the_restricted_profile() {
    let pod = pod();
    let spec = &pod["spec"];
    let context = json!({
        "runAsNonRoot": "true", "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": { "type": "RuntimeDefault" },
    });
    assert_eq!(spec["securityContext"], context);
    let context = json!({
        "allowPrivilegeEscalation": "false", "readOnlyRootFilesystem": "true",
        "capabilities": { "drop": ["ALL"] },
    });
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["containers"][0]["securityContext"], context);
    assert_eq!(spec["automountServiceAccountToken"], "false");
    assert_eq!(spec["enableServiceLinks"], "false");
    let labels = &kubernetes("namespace")["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn the_pod_is_one_is_asked_how_it_is_and_has_time_to_end() {
    assert_eq!(kubernetes("statefulset")["spec"]["replicas"], "1");
    let pod = pod();
    let container = &pod["spec"]["containers"][0];
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "http" }));
    }
    for bound in [&container["resources"]["requests"], &container["resources"]["limits"]] {
        assert!(bound["memory"].is_string());
    }
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_str().unwrap();
    assert!(grace.parse::<u64>().unwrap() > drain_seconds());
}

#[test]
fn the_manifests_belong_together() {
    let pod = pod();
    let labels = &pod["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| !labels.is_empty()));
    assert_eq!(kubernetes("service")["spec"]["selector"], *labels);
    for (name, selector) in [
        ("statefulset", "selector"),
        ("poddisruptionbudget", "selector"),
        ("networkpolicy", "podSelector"),
    ] {
        assert_eq!(kubernetes(name)["spec"][selector]["matchLabels"], *labels, "{name}");
    }
    let secret = kubernetes("secret.example");
    let container = &pod["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap().iter();
    let mut wanted = variables.filter_map(|one| one.pointer("/valueFrom/secretKeyRef"));
    assert!(wanted.all(|one| {
        one["name"] == secret["metadata"]["name"]
            && secret["stringData"].get(one["key"].as_str().unwrap()).is_some()
    }));
    // Every manifest is named but the example, and is there.
    let kustomization = kubernetes("kustomization");
    let named = kustomization["resources"].as_array().unwrap();
    for (path, _) in files("deploy/kubernetes") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let other = ["kustomization.yaml", "secret.example.yaml", "ragtime.toml"].contains(&name);
        assert_eq!(named.contains(&json!(name)), !other, "{name}");
    }
}

#[test]
fn the_unit_is_hardened() {
    let unit = unit();
    let has = |name: &str, value: &str| unit.iter().any(|(n, v)| n == name && v == value);
    for name in [
        "LockPersonality",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateTmp",
        "PrivateUsers",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RemoveIPC",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
    ] {
        assert!(has(name, "yes"), "{name}");
    }
    for (name, value) in [
        ("CapabilityBoundingSet", ""),
        ("LimitCORE", "0"),
        // Handlers are machine code that is made at run time.
        ("MemoryDenyWriteExecute", "no"),
        ("ProtectProc", "invisible"),
        ("ProtectSystem", "strict"),
        ("Restart", "on-failure"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallFilter", "~@privileged"),
        ("UMask", "0077"),
        ("User", "ragtime"),
    ] {
        assert!(has(name, value), "{name}={value}");
    }
    let (_, stop) = unit.iter().find(|(name, _)| name == "TimeoutStopSec").unwrap();
    assert!(stop.parse::<u64>().unwrap() > drain_seconds());
    assert!(
        text("deploy/systemd/ragtime.sysusers").lines().any(|line| line.starts_with("u ragtime "))
    );
}

#[test]
#[ignore = "it needs systemd-analyze of systemd 250 or later: apt-get install systemd"]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    // It looks whether the program is there.
    let unit = text("deploy/systemd/ragtime.service")
        .replace("/usr/local/bin/ragtime", env!("CARGO_BIN_EXE_ragtime"));
    let path = folder.path().join("ragtime.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn workflows_have_the_least_permissions_and_actions_of_github_only() {
    for name in ["ci", "release"] {
        let workflow = manifest(&format!(".github/workflows/{name}.yaml"));
        // What is not said is given, so it is said; writing is for single jobs.
        let all = workflow["permissions"].as_object().unwrap();
        assert!(all.values().all(|access| access == "read"), "{name}");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let steps = job.get("steps").and_then(Value::as_array).into_iter().flatten();
            for used in steps.filter_map(|step| step["uses"].as_str()) {
                assert!(used.starts_with("actions/") && used.contains('@'), "{name}: {used}");
            }
        }
    }
    let gate = manifest(".github/workflows/ci.yaml")["jobs"]["gate"].take();
    let steps = gate["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["run"] == ".ci/run"));
}

/// Answers one request, and says with what.
fn answer_once(response: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = [0; 1024];
        let length = client.read(&mut head).unwrap();
        client.write_all(response.as_bytes()).unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    (address, asked)
}

#[test]
fn the_health_check_fails_when_the_server_is_not_ready() {
    let check = |address: &str| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ragtime"));
        command.arg("health").env("RAGTIME_SERVER__LISTEN", address).output().unwrap()
    };
    let (address, asked) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(check(&address).status.code(), Some(0));
    assert!(asked.join().unwrap().starts_with("GET /readyz HTTP/1.1\r\n"));
    let refused = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\n\r\nthe disk";
    let (address, _asked) = answer_once(refused);
    let output = check(&address);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the disk"));
    // Nobody listens there any more.
    assert_eq!(check(&address).status.code(), Some(1));
}

#[test]
fn a_new_key_is_one_that_the_server_takes() {
    let made = || {
        let output = Command::new(Path::new(ROOT).join("deploy/new-key.sh")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let (one, other) = (made(), made());
    assert_ne!(one, other);
    for key in [one, other] {
        assert_eq!(Credential::parse(&key).unwrap().expose(), key);
    }
}
