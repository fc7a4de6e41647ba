"""Downloads: once for all workers, given up where they fall silent, and one line that says why they failed."""

import gc
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from errno import ENOSPC
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler

import pytest
from filelock import FileLock
from tickets.data import sources
from tickets.errors import BadInput, MachineFault

# urllib leaves the socket of a call that failed to the garbage collector, and Python complains where that finds it
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """No complaint is left for the next test."""
    yield
    gc.collect()


def test_workers_that_start_together_download_once(tmp_path):
    there = []

    class Slow:
        def download(self):
            time.sleep(0.2)
            there.append(self.root)

    lock = tmp_path / ".lock"
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: sources._download("mnist", Slow, tmp_path, lock, lambda: not there), range(3)))
    assert there == [tmp_path]
    assert socket.getdefaulttimeout() is None


def test_names_of_the_same_files_wait_for_one_another(folder, monkeypatch):
    locks = []
    monkeypatch.setattr(sources, "_download", lambda name, source, root, lock, missing: locks.append(lock))
    for name in ("cifar10", "cifar100", "cifar100_coarse"):
        with pytest.raises(MachineFault):  # nothing came
            sources.load(name)
    assert locks[0] != locks[1] == locks[2]


def test_a_file_that_another_process_is_writing_is_waited_for(small_mnist, folder):
    """It is there and not whole: wrong bytes, unless the lock that is held while files are downloaded is free again."""
    file = small_mnist / "t10k-labels-idx1-ubyte"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    lock, going, read = FileLock(folder / ".MNIST.lock"), threading.Event(), []
    with lock:
        reader = threading.Thread(target=lambda: (going.set(), read.append(sources.load("mnist"))))
        reader.start()
        going.wait(10)
        time.sleep(0.2)
        assert not read
        file.write_bytes(whole)
    reader.join(10)
    assert len(read[0].test_labels) == 10


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path):
    class Full:
        def download(self):
            raise OSError(ENOSPC, "No space left on device")

    with pytest.raises(MachineFault, match=f"{tmp_path} has no room for mnist"):
        sources._download("mnist", Full, tmp_path, tmp_path / ".lock", lambda: True)


@pytest.fixture
def silent():
    """The address of a server that takes every call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def send_to(monkeypatch, address):
    """Have every download come from an address."""
    from torchvision import datasets

    for kind in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", [address])
    for kind in (datasets.CIFAR10, datasets.CIFAR100):
        monkeypatch.setattr(kind, "url", f"{address}cifar.tar.gz")
    lists = {part: [address + name, name, md5] for part, (_, name, md5) in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_download_that_falls_silent_is_given_up(folder, monkeypatch, silent, capsys, name):
    send_to(monkeypatch, silent)
    monkeypatch.setattr(sources, "PATIENCE", 1)
    with pytest.raises(BadInput, match=f"{name} is not in .* its download failed: .*timed out"):
        sources.load(name)
    assert capsys.readouterr().err.splitlines()[0] == f"downloading {name} into {folder}"
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def without():
    """The address of a server that has nothing."""

    class Nothing(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(404, "no such thing here")

        do_GET = do_HEAD
        log_message = lambda *_: None  # noqa: E731

    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_both_parts_of_svhn_are_fetched(small_svhn, tmp_path, monkeypatch):
    folder, contents = small_svhn
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    (tmp_path / "new").mkdir()
    monkeypatch.setenv("TICKETS_DATA", str(tmp_path / "new"))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        send_to(monkeypatch, f"http://127.0.0.1:{server.server_port}/")
        found = sources.load("svhn")
        server.shutdown()
    assert len(found.train_labels) == contents["train"]["y"].size
    assert len(found.test_labels) == contents["test"]["y"].size
    assert {path.name for path in (tmp_path / "new").glob("*.mat")} == {"train_32x32.mat", "test_32x32.mat"}


@pytest.mark.parametrize("name", ["mnist", "cifar100", "svhn"])
def test_a_failed_download_says_why(folder, monkeypatch, without, name):
    send_to(monkeypatch, without)
    with pytest.raises(BadInput, match=r"download failed: .*404.* no such thing here") as caught:
        sources.load(name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_folder_that_cannot_be_written_fails_the_download(folder, monkeypatch):
    monkeypatch.setenv("TICKETS_DATA", str(folder))
    (folder / "MNIST").touch()
    with pytest.raises(BadInput, match=r"mnist is not in .*download failed: .*MNIST"):
        sources.load("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"])
def test_a_failed_download_is_one_line(folder, name):
    with pytest.raises(BadInput, match=f"{name} is not in .*TICKETS_DATA.*download failed") as caught:
        sources.load(name)
    assert len(str(caught.value).splitlines()) == 1
