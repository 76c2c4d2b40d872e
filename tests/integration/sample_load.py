"""What one tenant does with the sample application, drawn from a seed, and what it must be told.

Each Worker is a tenant's only user, so that what it must read is known at any time although all of them
work at once on the same tables. Every read is asked of both instances before the program and of the one
past it; the three must say the same, and what the worker's own model says. A write goes through one
instance, and is read through all of them at once.
"""
import random
import threading
import urllib.parse
import uuid
from datetime import datetime

from sample_case import Client

DRUGS = ("Amoxicillin", "Ibuprofen", "Metformin", "50% Dextrose", "Vitamin_D")
STATES = ("Active", "OnHold", "Dispensed", "Cancelled")
MOVES = {"Active": ("OnHold", "Dispensed"), "OnHold": ("Active",)}
WEIGHTS = {"list_page": 30, "by_id": 20, "search": 8, "export": 6, "foreign": 8, "create": 10, "move": 12,
           "cancel": 5, "stale": 4, "wrong_move": 3, "wrong_patient": 3, "bad_request": 3}


def newest_first(row):
    return -datetime.fromisoformat(row["issuedAt"]).timestamp(), row["id"]


def oldest_first(row):
    return datetime.fromisoformat(row["issuedAt"]).timestamp(), row["id"]


class World:
    """What all workers share. Lists only grow, so no lock is needed."""

    def __init__(self, through, past, seed, tenants):
        self.through, self.past, self.seed = through, past, seed
        self.ids = {tenant: [] for tenant in tenants}
        self.patients = {tenant: [] for tenant in tenants}
        self.failures = []
        self.stop = threading.Event()
        self.workers = [Worker(self, tenant) for tenant in tenants]

    def start(self, steps=None):
        """`steps` of each worker; None: until stop is set."""
        for worker in self.workers:
            worker.steps = steps
            worker.start()

    def join(self, timeout=300):
        for worker in self.workers:
            worker.join(timeout)
            if worker.is_alive():
                self.failures.append((worker.tenant, "did not end"))
        if self.failures:
            tenant, why = self.failures[0]
            raise AssertionError("seed %s, tenant %s (and %d more): %s" % (
                self.seed, tenant, len(self.failures) - 1, why))

    def requests(self):
        return sum(worker.requests for worker in self.workers)


class Worker(threading.Thread):
    def __init__(self, world, tenant):
        super().__init__(daemon=True, name=tenant)
        self.world, self.tenant = world, tenant
        self.random = random.Random("%s/%s" % (world.seed, tenant))
        self.client, self.rows, self.steps, self.requests, self.writes = Client(), {}, 0, 0, 0
        self.history = []

    def run(self):
        try:
            self.begin()
            done = 0
            while not self.world.stop.is_set() and not self.world.failures \
                    and (self.steps is None or done < self.steps):
                done += 1
                name = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                getattr(self, name)()
        except Exception as e:  # pylint: disable=broad-except
            self.world.failures.append((self.tenant, "%s: %s\nlast requests:\n  %s" % (
                type(e).__name__, e, "\n  ".join(self.history[-12:]))))
        finally:
            self.client.close()

    # Asking.

    def ask(self, app, method, path, body=None, tenant=...):
        self.requests += 1
        self.history.append("%s: %s %s %s" % (app.name, method, path, body or ""))
        return self.client.ask(app, method, path, self.tenant if tenant is ... else tenant, body)

    def same(self, method, path, body=None, tenant=..., want=200):
        """Asks all instances what changes nothing; returns what all of them said."""
        apps = [*self.world.through, self.world.past]
        self.random.shuffle(apps)
        answers = [(app, self.ask(app, method, path, body, tenant)) for app in apps]
        for app, answer in answers:
            self.equal(answer.status, want, "%s %s at %s: %r" % (method, path, app.name, answer))
        for app, answer in answers[1:]:
            self.equal(answer.told(), answers[0][1].told(),
                       "%s %s: %s is not %s" % (method, path, app.name, answers[0][0].name))
        return answers[0][1]

    def write(self, method, path, body=None, want=200):
        """Goes through one instance; what it is answered is read everywhere at once."""
        self.writes += 1
        app = self.random.choice(self.world.through)
        answer = self.ask(app, method, path, body)
        self.equal(answer.status, want, "%s %s at %s: %r" % (method, path, app.name, answer))
        row = answer.json
        self.equal(row["tenant"], self.tenant, path)
        self.rows[row["id"]] = row
        self.equal(self.same("GET", "/prescriptions/" + row["id"]).json, row, "what was just written")
        if self.random.random() < 0.5:
            self.list_page()
        return answer

    @staticmethod
    def equal(got, want, what):
        if got != want:
            raise AssertionError("%s\n  got  %.1500r\n  want %.1500r" % (what, got, want))

    def row(self, *states):
        """One of its own, in one of these states, if there is any."""
        found = [r for r in self.rows.values() if not states or r["status"] in states]
        return self.random.choice(found) if found else None

    # What it does.

    def begin(self):
        for n in range(2):
            answer = self.ask(self.world.through[n], "POST", "/patients", {
                "name": "Patient %d of %s" % (n, self.tenant), "birthDate": "1970-01-0%d" % (n + 1)})
            self.equal(answer.status, 201, repr(answer))
            self.world.patients[self.tenant].append(answer.json["id"])
        for _ in range(5):
            self.create()

    def create(self):
        patient = self.random.choice(self.world.patients[self.tenant])
        drug, dosage = self.random.choice(DRUGS), "%d mg" % self.random.randrange(1000)
        answer = self.write("POST", "/prescriptions", {
            "patientId": patient, "drug": drug, "dosage": dosage}, want=201)
        row = answer.json
        self.equal((row["drug"], row["dosage"], row["status"], row["patientId"]),
                   (drug, dosage, "Active", patient), "what was created")
        self.equal(answer.headers["location"], "/prescriptions/" + row["id"], "its place")
        self.world.ids[self.tenant].append(row["id"])

    def list_page(self):
        status = self.random.choice((None, None, *STATES))
        number, size = self.random.randrange(1, 3), self.random.choice((5, 20))
        path = "/prescriptions?page=%d&size=%d" % (number, size) + ("&status=" + status if status else "")
        rows = sorted((r for r in self.rows.values() if status in (None, r["status"])), key=newest_first)
        self.equal(self.same("GET", path).json, {
            "items": rows[(number - 1) * size:number * size], "number": number, "size": size,
            "total": len(rows)}, path)

    def by_id(self):
        row = self.row()
        self.equal(self.same("GET", "/prescriptions/" + row["id"]).json, row, "by id")

    def search(self):
        text = self.random.choice(("amox", "50%", "n_d", "IBU", "Patient 1"))
        rows = [r for r in self.rows.values()
                if text.lower() in r["drug"].lower() or text.lower() in r["patient"].lower()]
        path = "/prescriptions/search?q=" + urllib.parse.quote(text)
        self.equal(self.same("GET", path).json, sorted(rows, key=newest_first)[:100], path)

    def export(self):
        self.equal(self.same("GET", "/prescriptions/export").json,
                   sorted(self.rows.values(), key=oldest_first), "the export")

    def foreign(self):
        """Another tenant's row, by its id, in every way there is."""
        other = self.random.choice([t for t in self.world.ids if t != self.tenant])
        if not self.world.ids[other]:
            return
        path = "/prescriptions/" + self.random.choice(self.world.ids[other])
        self.same("GET", path, want=404)
        how = self.random.randrange(3)
        if how == 0:
            self.same("PUT", path + "/status", {"status": "OnHold", "version": 1}, want=404)
        elif how == 1:
            self.same("POST", path + "/cancel", want=404)

    def move(self):
        row = self.row(*MOVES)
        if row:
            status = self.random.choice(MOVES[row["status"]])
            answer = self.write("PUT", "/prescriptions/%s/status" % row["id"],
                                {"status": status, "version": row["version"]})
            self.equal({**answer.json, "version": 0}, {**row, "status": status, "version": 0}, "the move")

    def cancel(self):
        row = self.row()
        path = "/prescriptions/%s/cancel" % row["id"]
        if row["status"] in MOVES:
            answer = self.write("POST", path)
            self.equal({**answer.json, "version": 0}, {**row, "status": "Cancelled", "version": 0}, path)
        else:
            self.same("POST", path, want=409)

    def stale(self):
        """By a version that is not the row's any more, or never was."""
        row = self.row()
        self.same("PUT", "/prescriptions/%s/status" % row["id"],
                  {"status": "Dispensed", "version": row["version"] - 1}, want=409)

    def wrong_move(self):
        row = self.row("Dispensed", "Cancelled")
        if row:
            self.same("PUT", "/prescriptions/%s/status" % row["id"],
                      {"status": "Active", "version": row["version"]}, want=422)

    def wrong_patient(self):
        """Nobody's, or another tenant's: nothing may point at that one either."""
        other = self.random.choice([t for t in self.world.patients if t != self.tenant])
        patient = self.random.choice([str(uuid.UUID(int=self.random.getrandbits(128))),
                                      *self.world.patients[other]])
        self.same("POST", "/prescriptions", {"patientId": patient, "drug": "x", "dosage": "y"}, want=422)

    def bad_request(self):
        tenant = self.random.choice((None, "", "a b", "x'--", "é".encode().decode("latin-1"), "n" * 64))
        self.same("GET", "/prescriptions", tenant=tenant, want=400)
        for query in ("size=1001", "page=0", "status=Lost"):
            self.same("GET", "/prescriptions?" + query, want=400)
        self.same("POST", "/prescriptions", {"drug": "", "dosage": "y"}, want=400)
