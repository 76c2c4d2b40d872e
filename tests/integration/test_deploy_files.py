"""What deploy/ has for containers: there is no Docker here and no cluster, so what can be known without one is
checked. Files are well formed, what they name exists, the configurations in them are valid for the program
under test, and what is said twice (ports, paths, times, users) is said alike."""
import json
import os
import re
import shlex
import subprocess
import unittest

import yaml

from harness import env
from wire import TIMEOUT

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKER = "deploy/docker"
DEPLOY_FILES = (DOCKER + "/Dockerfile", "deploy/samples/prescription-api/Dockerfile")


def text_of(name):
    with open(os.path.join(REPOSITORY, name)) as f:
        return f.read()


def there(*parts):
    return os.path.exists(os.path.normpath(os.path.join(REPOSITORY, *parts)))


def seconds(value):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", str(value)).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def megabytes(value):
    number, unit = re.fullmatch(r"(\d+)(MB|GB|Mi|Gi)", str(value)).groups()
    return int(number) * (1024 if unit[0] == "G" else 1)


def instructions(name):
    """Of a Dockerfile: words and arguments, lines that go on joined, comments gone."""
    lines = [x for x in text_of(name).splitlines() if not x.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(x.split(None, 1)) for x in joined.splitlines() if x.strip()]


class DeployTest(unittest.TestCase):
    def check_config(self, text, **files):
        """`pgsidecar check` accepts it; `files`: what it names by absolute paths, with their texts."""
        if env.control:
            self.skipTest("control run: there is no program")
        folder = os.path.join(env.folder, self.id())
        os.makedirs(folder, exist_ok=True)
        for name, content in files.items():
            path = os.path.join(folder, name)
            with open(path, "w") as f:
                f.write(content)
            text = re.sub(r"/\S*/" + re.escape(name) + r"\b", path, text)
        path = os.path.join(folder, "pgsidecar.yaml")
        with open(path, "w") as f:
            f.write(text)
        done = subprocess.run([env.program, "check", "-c", path], capture_output=True, text=True,
                              timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("warning", done.stderr.lower())
        return yaml.safe_load(text)


class DockerfileTest(DeployTest):
    words = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL",
             "ENTRYPOINT", "CMD"}

    def setUp(self):
        self.lines = instructions(DOCKER + "/Dockerfile")

    def only(self, word):
        found = [rest for name, rest in self.lines if name == word]
        self.assertEqual(len(found), 1, (word, found))
        return found[0]

    def test_instructions(self):
        for name in DEPLOY_FILES:
            for word, rest in instructions(name):
                self.assertIn(word, self.words, name)
                if rest.startswith("["):
                    self.assertIsInstance(json.loads(rest), list)

    def test_what_is_copied_is_there_and_in_the_context(self):
        kept = [x[1:].rstrip("/") for x in text_of(".dockerignore").splitlines() if x.startswith("!")]
        self.assertIn("*", text_of(".dockerignore").splitlines())
        for name in kept:
            self.assertTrue(there(name), ".dockerignore names %s" % name)
        for _, rest in (x for x in self.lines if x[0] == "COPY"):
            sources = [x for x in shlex.split(rest)[:-1]]
            if sources[0].startswith("--from=build"):
                continue
            for source in sources:
                self.assertTrue(there(source), source)
                self.assertTrue(source == "." or any(
                    source == k or source.startswith(k + "/") for k in kept), source)

    def test_context_has_what_the_build_names(self):
        kept = {x[1:].split("/")[0] for x in text_of(".dockerignore").splitlines() if x.startswith("!")}
        rooms = re.search(r"set\(rooms ([^)]*)\)", text_of("CMakeLists.txt")).group(1).split()
        self.assertLessEqual({*rooms, "deploy", "CMakeLists.txt", "CMakePresets.json"}, kept)

    def test_build_uses_the_repository_s_scripts(self):
        stage = []
        for word, rest in self.lines[1:]:
            if word == "FROM":
                break
            if word == "RUN":
                stage.append(rest)
        self.assertTrue(stage)
        for command in stage:
            script, *options = shlex.split(command)
            self.assertTrue(script.startswith("deploy/"), command)
            self.assertTrue(os.access(os.path.join(REPOSITORY, script), os.X_OK), script)
            usage = subprocess.run([os.path.join(REPOSITORY, script), "--help"], capture_output=True,
                                   text=True, check=True, timeout=TIMEOUT).stdout
            for option in (x for x in options if x.startswith("--")):
                self.assertIn("  %s " % option, usage)
        self.assertEqual([shlex.split(x)[0] for x in stage],
                         ["deploy/install-deps.sh", "deploy/package.sh"])

    def test_configuration_of_the_image(self):
        config = self.check_config(text_of(DOCKER + "/pgsidecar.yaml"))
        self.assertEqual(self.only("EXPOSE").split(),
                         [str(config["listen_port"]), str(config["http"]["listen_port"])])
        self.assertEqual(config["listen_addr"], "0.0.0.0")  # else nobody outside reaches it
        check = json.loads(self.only("HEALTHCHECK").split("CMD ")[1])
        self.assertEqual(check[-1], "http://%s:%d/healthz" % (config["http"]["listen_addr"],
                                                              config["http"]["listen_port"]))
        self.assertIn('"/healthz"', text_of("proxy/io/http_site.cpp"))
        self.assertRegex("\n".join(rest for _, rest in self.lines), r"\b%s\b" % check[0])
        self.assertEqual(json.loads(self.only("CMD")), ["run", "-c", "/etc/pgsidecar/pgsidecar.yaml"])
        self.assertEqual(self.only("STOPSIGNAL"), "SIGTERM")

    def test_user_is_not_root(self):
        uid, gid = self.only("USER").split(":")
        self.assertGreater(int(uid), 0)
        self.assertIn("usermod -u %s pgsidecar && groupmod -g %s pgsidecar" % (uid, gid),
                      "\n".join(rest for _, rest in self.lines))
        last = max(i for i, (word, _) in enumerate(self.lines) if word == "RUN")
        self.assertLess(last, [word for word, _ in self.lines].index("USER"))


class ComposeTest(DeployTest):
    def setUp(self):
        self.services = yaml.safe_load(text_of(DOCKER + "/compose.yaml"))["services"]

    def test_what_it_names_is_there(self):
        for name, service in self.services.items():
            build = service.get("build")
            if isinstance(build, str):
                self.assertTrue(there(DOCKER, build, "Dockerfile"), name)
            elif build:
                self.assertTrue(there(DOCKER, build["context"], build["dockerfile"]), name)
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                self.assertTrue(source == "data" or there(DOCKER, source), volume)
            for other in service.get("depends_on", {}):
                self.assertIn(other, self.services)

    def test_variables_are_those_of_the_sample(self):
        asked = set(re.findall(r"\$\{(\w+)", text_of(DOCKER + "/compose.yaml")))
        given = set(re.findall(r"^(\w+)=$", text_of(DOCKER + "/env.sample"), re.M))
        self.assertEqual(asked, given)
        self.assertLessEqual(set(re.findall(r"\b\w+_PASSWORD\b", text_of(DOCKER + "/make-roles.sh"))),
                             asked)

    def test_ports_hosts_and_times(self):
        config = yaml.safe_load(text_of(DOCKER + "/pgsidecar.yaml"))
        service = self.services["pgsidecar"]
        self.assertIn(config["upstream"]["host"], self.services)
        self.assertEqual(service["ports"], ["127.0.0.1:%d:%d" % ((config["listen_port"],) * 2)])
        self.assertGreater(seconds(service["stop_grace_period"]), seconds(config["shutdown_timeout"]))
        string = self.services["app"]["environment"]["ConnectionStrings__Sidecar"]
        self.assertIn("Host=pgsidecar;Port=%d;" % config["listen_port"], string)
        self.assertIn("Database=prescriptions;", string)
        self.assertIn("dbname=prescriptions", config["upstream"]["control_connection"])

    def test_application_s_settings_are_its_own(self):
        known = json.loads(re.sub(r"(?m)\s//.*$", "", text_of(
            "deploy/samples/prescription-api/appsettings.json")))
        for name in ("app", "migrate"):
            for key in self.services[name]["environment"]:
                if "__" in key:
                    section, item = key.split("__")
                    self.assertIn(item, known[section], key)


class KubernetesTest(DeployTest):
    def setUp(self):
        parts = list(yaml.safe_load_all(text_of("deploy/kubernetes/sidecar.yaml")))
        self.parts = {part["kind"]: part for part in parts}
        self.assertEqual(len(self.parts), len(parts))
        self.pod = self.parts["Deployment"]["spec"]["template"]["spec"]
        self.app, self.sidecar = self.pod["containers"]
        self.text = self.parts["ConfigMap"]["data"]["pgsidecar.yaml"]
        self.config = yaml.safe_load(self.text)

    def test_configuration_is_valid(self):
        self.check_config(self.text, **{"metrics-token": "0123456789abcdef0123456789abcdef\n"})

    def test_names_lead_somewhere(self):
        self.assertEqual(self.parts["Deployment"]["spec"]["selector"]["matchLabels"],
                         self.parts["Deployment"]["spec"]["template"]["metadata"]["labels"])
        secret = self.parts["Secret"]
        for container in (self.app, self.sidecar):
            for variable in container["env"]:
                if "valueFrom" in variable:
                    ref = variable["valueFrom"]["secretKeyRef"]
                    self.assertEqual(ref["name"], secret["metadata"]["name"])
                    self.assertIn(ref["key"], secret["stringData"])
        volumes = {v["name"]: v for v in self.pod["volumes"]}
        mounts = {m["name"]: m["mountPath"] for m in self.sidecar["volumeMounts"]}
        self.assertEqual(set(volumes), set(mounts))
        self.assertEqual(volumes["config"]["configMap"]["name"],
                         self.parts["ConfigMap"]["metadata"]["name"])
        self.assertEqual(self.sidecar["args"][-1], mounts["config"] + "/pgsidecar.yaml")
        items = [mounts["secret"] + "/" + i["path"] for i in volumes["secret"]["secret"]["items"]]
        self.assertEqual(items, [self.config["http"]["token_file"]])

    def test_probes(self):
        for container, port in ((self.app, 8080), (self.sidecar, self.config["http"]["listen_port"])):
            ports = {p["name"]: p["containerPort"] for p in container["ports"]}
            for kind, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
                self.assertEqual(container[kind]["httpGet"]["path"], path)
                self.assertEqual(ports[container[kind]["httpGet"]["port"]], port)
        # The kubelet asks from outside; and what is asked for more than health needs the token.
        self.assertEqual(self.config["http"]["listen_addr"], "0.0.0.0")
        self.assertIn("token_file", self.config["http"])

    def test_application_asks_the_sidecar(self):
        strings = {v["name"]: v.get("value") for v in self.app["env"]}
        self.assertIn("Host=%s;Port=%d;" % (self.config["listen_addr"], self.config["listen_port"]),
                      strings["ConnectionStrings__Sidecar"])

    def test_it_has_time_to_drain(self):
        sleep = self.sidecar["lifecycle"]["preStop"]["exec"]["command"]
        self.assertEqual(sleep[0], "sleep")
        needed = int(sleep[1]) + seconds(self.config["shutdown_timeout"]) + 15
        self.assertLessEqual(needed, self.pod["terminationGracePeriodSeconds"])

    def test_it_has_memory(self):
        """The cache with what it costs beyond its payload, and each worker's memory of statements."""
        statements = megabytes("64MB") * self.config["workers"]
        needed = megabytes(self.config["cache"]["max_memory"]) * 1.25 + statements + 64
        resources = self.sidecar["resources"]
        self.assertLess(needed, megabytes(resources["requests"]["memory"]))
        self.assertLessEqual(megabytes(resources["requests"]["memory"]),
                             megabytes(resources["limits"]["memory"]))
        self.assertRegex(text_of("deploy/config/pgsidecar.yaml"), r"(?m)^#statement_memory: 64MB$")

    def test_rights(self):
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        user = next(rest for word, rest in instructions(DOCKER + "/Dockerfile") if word == "USER")
        own = self.sidecar["securityContext"]
        self.assertEqual("%d:%d" % (own["runAsUser"], own["runAsGroup"]), user)
        self.assertEqual(self.pod["securityContext"]["fsGroup"], own["runAsGroup"])
        self.assertTrue(own["readOnlyRootFilesystem"])
        for container in (self.app, self.sidecar):
            self.assertIs(container["securityContext"]["allowPrivilegeEscalation"], False)
            self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
