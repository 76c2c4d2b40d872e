"""A cache that several sidecars share in redis."""
import os
import signal
import threading
import unittest

from cache_case import env
from harness import free_port, wait_until
from redis_server import PROGRAM, Redis, RedisError
from tier_case import Sharing, TierTest, Trouble


@unittest.skipUnless(PROGRAM, "redis-server is not there: tests/install.sh")
class RedisTest(TierTest):
    provider = "redis"
    lines = ()
    tls = False

    @classmethod
    def open_tier(cls):
        cls.redis = Redis(*cls.lines, tls=cls.tls).start()
        cls.addClassCleanup(cls.redis.close)

    @classmethod
    def place(cls):
        return {"redis_addresses": [cls.redis.address]}

    def lying(self):
        client = self.redis.client()
        out = {n.decode(): client("GET", n) for n in client("KEYS", "*")}
        client.close()
        return out

    def lay(self, name, entry):
        self.redis("SET", name, entry, "KEEPTTL")

    def lives(self):
        client = self.redis.client()
        out = [client("PTTL", n) / 1000 for n in client("KEYS", "*")]
        client.close()
        return out

    def empty(self):
        self.redis("FLUSHALL")

    def setUp(self):
        super().setUp()
        self.empty()


class SharingTest(Sharing, RedisTest):
    def test_look_ups_of_a_moment_go_out_together(self):
        """Many sessions miss at once: far fewer reads at redis than look-ups (each is TIME's)."""
        self.fill()
        sessions = [self.wire() for _ in range(16)]
        calls = lambda: int(self.redis("INFO", "commandstats").split(b"cmdstat_time:calls=")[1]
                            .split(b",")[0])
        before, asked = calls(), self.shared()["asked"]

        def ask(session, first):
            for k in range(first, 200, 16):
                session.q(self.of(k + 1))
        threads = [threading.Thread(target=ask, args=(s, i)) for i, s in enumerate(sessions)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        asked = self.shared()["asked"] - asked
        self.assertEqual(asked, 200)
        # Puts have theirs, too: up to one each. What counts is that each look-up has none of its own.
        self.assertLess(calls() - before, 2 * asked)

    def test_under_load_no_session_reads_behind_its_own_writes(self):
        other = self.another()
        self.fill()
        self.ready(other, self.on(other))
        stop, wrong = threading.Event(), []

        def spoil():
            session, i = self.on(other), 0
            while not stop.is_set():
                i += 1
                session.q(self.of(1 + i % 8, " -- %d" % (i % 40)))

        def work(k):
            session = self.wire()
            for i in range(150):
                if session.q("UPDATE kv SET v = '%d' WHERE k = %d" % (i, k)).error:
                    wrong.append("error")
                for n in range(3):
                    got = session.q(self.of(k, " -- %d" % ((i * 3 + n) % 40))).value
                    if got != str(i):
                        wrong.append((k, i, got))
        spoilers = [threading.Thread(target=spoil) for _ in range(2)]
        workers = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
        for t in spoilers + workers:
            t.start()
        for t in workers:
            t.join()
        stop.set()
        for t in spoilers:
            t.join()
        self.assertEqual(wrong, [])
        self.assertGreater(self.shared()["found"], 0)


class TroubleTest(Trouble, RedisTest):
    @classmethod
    def sharing(cls, cache=None, **keys):
        return super().sharing(cache, **keys)

    def setUp(self):
        if self.redis.process.poll() is not None:
            self.redis.start()
        super().setUp()

    def kill_tier(self):
        self.redis.close()

    def revive_tier(self):
        self.redis.start()

    def stop_tier(self):
        self.redis.signal(signal.SIGSTOP)
        self.addCleanup(self.redis.signal, signal.SIGCONT)

    def continue_tier(self):
        self.redis.signal(signal.SIGCONT)

    def test_full(self):
        sidecar = self.troubled()
        used = int(self.redis("INFO", "memory").split(b"used_memory:")[1].split(b"\r")[0])
        self.redis("CONFIG", "SET", "maxmemory", used)
        self.addCleanup(self.redis, "CONFIG", "SET", "maxmemory", 0)
        self.check_wrong_nowhere(range(1, 50), sidecar)
        wait_until("it says so", lambda: self.shared(sidecar)["put_refused"] > 0)
        sidecar.output.wait_for("shared cache: it does not take entries: OOM")
        self.assertTrue(self.shared(sidecar)["up"])

    def test_what_lies_there_is_something_else(self):
        sidecar = self.troubled()
        self.check_wrong_nowhere(range(1, 5), sidecar)
        self.all_put(sidecar)
        names = list(self.lying())
        for name in names:
            self.redis("DEL", name)
            self.redis("LPUSH", name, "x")
        other = self.another()
        self.ready(other, self.on(other))
        self.check_wrong_nowhere(range(1, 50), other)

    def test_more_than_may_wait_is_dropped(self):
        sidecar = self.another(max_queued="64kB")
        session = self.on(sidecar)
        self.ready(sidecar, session)
        for i in range(20):
            session.q("SELECT repeat(v, 20000) FROM kv WHERE k = %d" % (i + 1))
        self.assertGreater(self.shared(sidecar)["dropped"], 0)


class SecureTest(RedisTest):
    """TLS, and an ACL user that may do no more than is said to be needed."""

    lines = ("user default off",
             "user sidecar on >sesame ~pgsidecar:* -@all +get +set +time +ping +auth")
    tls = True

    @classmethod
    def open_tier(cls):
        super().open_tier()
        cls.password = os.path.join(env.folder, "redis.password")
        with open(cls.password, "w") as f:
            f.write("sesame\n")

    def empty(self):
        pass

    @classmethod
    def place(cls):
        return {"redis_addresses": ["localhost:%d" % cls.redis.port], "redis_username": "sidecar",
                "redis_password_file": cls.password, "redis_tls_sslmode": "verify-full",
                "redis_tls_ca_file": env.certificates.ca}

    def test_shared_through_tls_by_an_acl_user(self):
        self.fill(1)
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        self.assertEqual(session.q(self.of(1)).value, "old1")
        self.assertEqual(self.shared()["put_refused"], 0)

    def check_unused(self, words, **keys):
        other = self.another(**keys)
        self.check_wrong_nowhere(range(1, 5), other)
        line = other.output.wait_for("shared cache: it is not used")
        self.assertIn(words, line)
        self.assertNotIn("sesame", other.output.text())

    def test_a_wrong_password_is_told(self):
        path = os.path.join(env.folder, "wrong.password")
        with open(path, "w") as f:
            f.write("sesame open\n")
        self.check_unused("the log-in was refused: WRONGPASS", redis_password_file=path)

    def test_a_certificate_of_another_authority_is_refused(self):
        self.check_unused("TLS: ", redis_tls_ca_file=env.certificates.cert)

    def test_without_tls_it_does_not_work(self):
        self.check_unused("127.0.0.1", redis_tls_sslmode="disable", redis_tls_ca_file="",
                          redis_addresses=[self.redis.address])

    def test_keys_that_it_may_not_have(self):
        other = self.another(prefix="elsewhere")
        self.ready(other, self.on(other))

        def is_told():
            self.check_wrong_nowhere(range(1, 4), other)
            return "shared cache: it is not used: GET: NOPERM" in other.output.text()
        wait_until("it is told", is_told)


class SentinelTest(RedisTest):
    @classmethod
    def open_tier(cls):
        super().open_tier()
        cls.replica = Redis("replicaof 127.0.0.1 %d" % cls.redis.port).start()
        cls.addClassCleanup(cls.replica.close)
        cls.sentinel = Redis("sentinel monitor tier 127.0.0.1 %d 1" % cls.redis.port,
                             "sentinel down-after-milliseconds tier 500",
                             "sentinel failover-timeout tier 5000", sentinel=True).start()
        cls.addClassCleanup(cls.sentinel.close)
        wait_until("its replica", lambda: cls.sentinel("SENTINEL", "replicas", "tier")
                   and b"master_link_status:up" in cls.replica("INFO", "replication"))

    @classmethod
    def place(cls):
        return {"redis_addresses": ["127.0.0.1:1", cls.sentinel.address],
                "redis_sentinel_master": "tier"}

    def empty(self):
        pass

    def test_the_master_is_found_and_found_again(self):
        self.fill(1)
        wait_until("the replica has it", lambda: self.replica("DBSIZE") >= 1)
        wait_until("a failover is possible", self._fail_over)
        wait_until("it is over", lambda: self.sentinel(
            "SENTINEL", "get-master-addr-by-name", "tier")[1] == b"%d" % self.replica.port)
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        self.assertEqual(session.q(self.of(1)).value, "old1")
        # The one that is connected to the old master notices when that is a replica.
        session, before = self.wire(), self.shared()["puts"]

        def puts_again():
            session.q("SELECT v, %d FROM kv WHERE k = 2" % puts_again.n)
            puts_again.n += 1
            got = self.shared()
            return got["up"] and got["puts"] > before and got["outages"] > 0
        puts_again.n = 0
        wait_until("puts at the new master", puts_again)

    def _fail_over(self):
        try:
            self.sentinel("SENTINEL", "failover", "tier")
            return True
        except RedisError:
            return False

    def test_an_unknown_master_is_told(self):
        other = self.another(redis_sentinel_master="nobody")
        self.assertIn("knows no such master",
                      other.output.wait_for("shared cache: it is not used"))


class ClusterTest(RedisTest):
    @classmethod
    def open_tier(cls):
        cls.nodes, buses = [], [free_port() for _ in range(3)]
        for bus in buses:
            cls.nodes.append(Redis("cluster-enabled yes", "cluster-config-file nodes.conf",
                                   "cluster-port %d" % bus, "cluster-node-timeout 2000",
                                   "cluster-require-full-coverage no",
                                   "cluster-allow-replica-migration no").start())
        for node in cls.nodes:
            cls.addClassCleanup(node.close)
        cls.redis = cls.nodes[0]
        bounds = (0, 5461, 10923, 16384)
        for node, bus, first, after in zip(cls.nodes, buses, bounds, bounds[1:]):
            node("CLUSTER", "ADDSLOTS", *range(first, after))
            cls.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        for node in cls.nodes:
            wait_until("the cluster", lambda: b"cluster_state:ok" in node("CLUSTER", "INFO")
                       and b"cluster_slots_ok:16384" in node("CLUSTER", "INFO"))

    @classmethod
    def place(cls):
        return {"redis_addresses": ["127.0.0.1:1", cls.nodes[1].address], "redis_cluster": True}

    def empty(self):
        for node in self.nodes:
            node("FLUSHALL")

    def test_all_nodes_hold_entries_and_moved_slots_are_followed(self):
        keys = range(1, 61)
        self.fill(*keys)
        for node in self.nodes:
            self.assertGreater(node("DBSIZE"), 0)
        self.change_past_all()
        other = self.another()
        session = self.on(other)
        self.ready(other, session)
        for k in keys:
            self.assertEqual(session.q(self.of(k)).value, "old%d" % k)
        # All slots of the first node become the second one's, without their keys.
        first, second = self.nodes[0], self.nodes[1]
        first("FLUSHALL")
        identity = second("CLUSTER", "MYID")
        slots = range(0, 5461)
        second("CLUSTER", "BUMPEPOCH")  # its word on whose the slots are is the latest
        for node in (second, first, self.nodes[2]):
            client = node.client()
            for slot in slots:
                client("CLUSTER", "SETSLOT", slot, "NODE", identity)
            client.close()
        for node in self.nodes:
            wait_until("everybody to say so", lambda: b" 0-10922" in node("CLUSTER", "NODES"))
        session = self.wire()
        before = self.shared()
        for k in keys:
            session.q(self.of(k, " -- again"))
        self.all_put()
        self.assertEqual(self.shared()["put_refused"], 0)
        self.assertEqual(first("DBSIZE"), 0)
        self.assertEqual(self.shared()["outages"], before["outages"])
