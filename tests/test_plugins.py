"""The plugin host, against distributions that really lie on the path as an installer leaves them."""

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from medplug.errors import PluginError
from medplug.model import Task
from medplug.plugins import Host, discover

GOOD = """
import medplug

class Brightness(medplug.Model):
    name, version, task = {name!r}, "1.0", medplug.Task.REGRESSION

    def build(self):
        raise AssertionError("the host must not build")

    def decode(self, output, batch):
        return []

@medplug.hookimpl
def medplug_register_models():
    return [Brightness]
"""


class SitePackages:
    """A folder on the path in which distributions are installed by writing what pip would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self, distribution: str, source: str, *, requires: str = "medplug", points: str | None = None, where: str = "."
    ) -> None:
        module = distribution.replace("-", "_")
        folder = self.path / where
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(f"[medplug]\n{points or f'plugin = {module}'}\n")

    def model(self, distribution: str, name: str, **installation: str) -> None:
        self.install(distribution, GOOD.format(name=name), **installation)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SitePackages]:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield SitePackages(folder)
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def reason(host: Host, distribution: str) -> str:
    [found] = [plugin.reason for plugin in host.quarantined if plugin.distribution == distribution]
    return found


def names(host: Host, distribution: str) -> list[str]:
    return [offer.name for offer in host.offers if offer.distribution == distribution]


def test_an_installed_model_is_offered_under_its_name(site: SitePackages) -> None:
    site.model("Sun.Shine", "sun-brightness", points="anything = Sun.Shine:plugin")
    (site.path / "Sun.Shine.py").unlink()
    (site.path / "Sun").mkdir()
    (site.path / "Sun" / "Shine.py").write_text(
        "import sys\n" + GOOD.format(name="sun-brightness") + "plugin = sys.modules[__name__]"
    )

    offer = discover().find("sun-brightness")

    assert (offer.distribution, offer.distribution_version, offer.task) == ("sun-shine", "1.0", Task.REGRESSION)
    assert (offer.kind, offer.note, offer.model.__name__) == ("fixed", None, "Brightness")
    assert discover().find("Sun_Shine:sun-brightness") == offer


BROKEN = {
    "import-error": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "exits": ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "exits-when-looked-at": ("def __dir__(): raise SystemExit(4)", "SystemExit: 4"),
    "exits-when-asked": (
        GOOD.format(name="x").replace("return", "import sys; sys.exit(5); return"),
        "medplug_register_models failed: SystemExit: 5",
    ),
    "syntax": ("def (:", "SyntaxError"),
    "misspelt": (
        GOOD.format(name="misspelt").replace("medplug_register_models", "medplug_register_model"),
        "medplug_register_model is no hook; did you mean medplug_register_models",
    ),
    "misspelt-unmarked": (
        GOOD.format(name="unmarked") + "def medplug_case_don(result): pass",
        "medplug_case_don is no hook; did you mean medplug_case_done",
    ),
    "unmarked": (
        GOOD.format(name="unmarked").replace("@medplug.hookimpl", ""),
        "medplug_register_models is not marked as a hook; put @medplug.hookimpl above it",
    ),
    "no-hook": ("import medplug", "it implements no hook"),
    "wrapper": (
        GOOD.format(name="wrapper") + "@medplug.hookimpl(wrapper=True)\ndef medplug_case_done(result): yield",
        "medplug_case_done is a hook wrapper",
    ),
    "wrong-argument": (
        GOOD.format(name="wrong") + "@medplug.hookimpl\ndef medplug_case_done(outcome): pass",
        "{'outcome'} are declared in the hookimpl but can not be found in the hookspec",
    ),
    "returns-none": (GOOD.format(name="none").replace("return [Brightness]", "pass"), "returned None"),
    "returns-nothing": (GOOD.format(name="nothing").replace("[Brightness]", "[]"), "returned nothing"),
    "returns-the-class": (GOOD.format(name="bare").replace("[Brightness]", "Brightness"), "must return a list"),
    "returns-no-model": (
        GOOD.format(name="no").replace("[Brightness]", "[int]"),
        "returned int, which is no subclass of medplug.Model",
    ),
    "raises": (GOOD.format(name="raises").replace("return", "return 1 / 0,"), "ZeroDivisionError: division by zero"),
    "abstract": (GOOD.format(name="abstract").replace("def build", "def construct"), "Brightness lacks build"),
    "name": (GOOD.format(name="Not A Name"), "Brightness.name is 'Not A Name'; it must be lower-case words"),
    "nameless": (GOOD.format(name="x").replace("name, version, task =", "_, version, task ="), ".name is None"),
    "version": (GOOD.format(name="x").replace('"1.0"', "1.0"), "Brightness.version is 1.0"),
    "task": (GOOD.format(name="x").replace("medplug.Task.REGRESSION", "'regression'"), "must be one of medplug.Task"),
    "generation": (GOOD.format(name="x").replace("REGRESSION", "GENERATION"), "a subclass of medplug.Generative"),
    "options": (GOOD.format(name="x") + "Brightness.Options = dict", "Options is dict; it must be a subclass of"),
    "options-required": (
        GOOD.format(name="x")
        + "class Brightness2(medplug.ModelOptions):\n    depth: int\nBrightness.Options = Brightness2",
        "Brightness.Options needs a default for depth",
    ),
    "options-loose": (
        GOOD.format(name="x") + "class Loose(medplug.ModelOptions, forbid_unknown_fields=False):\n    depth: int = 1\n"
        "Brightness.Options = Loose",
        "must stay frozen and refuse unknown fields",
    ),
    "options-thawed": (
        GOOD.format(name="x") + "class Thawed(medplug.ModelOptions, frozen=False):\n    depth: int = 1\n"
        "Brightness.Options = Thawed",
        "must stay frozen and refuse unknown fields",
    ),
    "options-json": (
        GOOD.format(name="x") + "class Odd(medplug.ModelOptions):\n    depth: complex = 1j\nBrightness.Options = Odd",
        "Brightness.Options cannot be stored as JSON",
    ),
    "init": (
        GOOD.format(name="x") + "Brightness.__init__ = lambda self: None",
        "Brightness cannot be made as Brightness(options, labels)",
    ),
    "twice": (GOOD.format(name="x").replace("[Brightness]", "[Brightness] * 2"), "the distribution offers 'x' twice"),
    "source": (
        GOOD.format(name="x") + "@medplug.hookimpl\ndef medplug_register_sources(): return [object()]",
        "lacks accepts, read",
    ),
    "writer": (
        GOOD.format(name="x") + "@medplug.hookimpl\ndef medplug_register_writers(): return [int]",
        "int.name is None",
    ),
    "writer-of-medplugs-name": (
        GOOD.format(name="x") + "from medplug.writers import JsonLines\n@medplug.hookimpl\n"
        "def medplug_register_writers(): return [type('Mine', (JsonLines,), {})]",
        "Mine.name is 'json', which is medplug's own; give the writer another name",
    ),
    "writer-twice": (
        GOOD.format(name="x") + "from medplug.writers import JsonLines\nclass Mine(JsonLines):\n    name = 'mine'\n"
        "@medplug.hookimpl\ndef medplug_register_writers(): return [Mine, Mine]",
        "Mine.name is 'mine', which is that of broken_writer_twice.Mine; give the writer another name",
    ),
    "writer-abstract": (
        GOOD.format(name="x") + "from medplug.writers import Writer\nclass Half(Writer):\n    name = 'half'\n"
        "    def write(self, answer): pass\n@medplug.hookimpl\ndef medplug_register_writers(): return [Half]",
        "Half lacks close, discard; make it a subclass of medplug.writers.Writer",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_quarantined_whole_with_its_reason(site: SitePackages, case: str) -> None:
    source, expected = BROKEN[case]
    site.install(f"broken-{case}", source)
    site.model("healthy", "healthy")

    host = discover()

    assert expected in reason(host, f"broken-{case}")
    assert "\n" not in reason(host, f"broken-{case}")
    assert names(host, f"broken-{case}") == []
    assert names(host, "healthy") == ["healthy"]


def test_what_passes_the_contract_in_one_hook_is_not_kept_when_another_hook_fails(site: SitePackages) -> None:
    site.install(
        "half",
        BROKEN["source"][0] + "\nseen = []\n@medplug.hookimpl\ndef medplug_case_done(result): seen.append(result)",
    )

    host = discover()
    host.notify("medplug_case_done", result="a result")

    assert "lacks accepts, read" in reason(host, "half")
    assert names(host, "half") == []
    assert sys.modules["half"].seen == []


def test_five_plugins_broken_in_five_ways_harm_nothing_but_themselves(site: SitePackages) -> None:
    site.install("one", "import nowhere_to_be_found")
    site.model("two", "cnn")
    site.install("three", BROKEN["misspelt"][0])
    site.install("four", "raise AssertionError('must not be imported')", requires="medplug<0.1")
    site.install("five", BROKEN["returns-none"][0])
    site.model("healthy", "healthy")

    host = discover()

    assert [plugin.distribution for plugin in host.quarantined if plugin.distribution != "medplug"] == [
        "five",
        "four",
        "one",
        "three",
    ]
    assert "made for medplug <0.1; this is " + version("medplug") in reason(host, "four")
    assert host.find("two:cnn").note == "the name 'cnn' is medplug's own; use two:cnn"
    assert host.find("healthy").distribution == "healthy"


@pytest.mark.parametrize(
    ("requires", "admitted"),
    [
        ("medplug>=0.1", True),
        ("medplug (>=0.1,<1)", True),
        ("medplug>=99", False),
        ("Medplug==99.*", False),
        ("medplug>=99; extra == 'later'", True),
        ("medplug>=99; python_version < '3'", True),
        ("numpy", True),
        ("medplug @ file:///nowhere", True),
        ("medplug ~~ 1", False),
    ],
)
def test_a_plugin_made_for_another_contract_is_refused_before_it_is_imported(
    site: SitePackages, requires: str, admitted: bool
) -> None:
    site.model("dated", "dated", requires=requires)

    host = discover()

    assert (names(host, "dated") == ["dated"]) is admitted
    assert ("dated" in sys.modules) is admitted
    assert ("dated" in [plugin.distribution for plugin in host.quarantined]) is not admitted


def test_a_name_of_medplugs_own_is_never_a_strangers(site: SitePackages) -> None:
    site.model("stranger", "cnn")

    assert discover().find("cnn").distribution == "medplug"
    alone = discover(only="stranger")
    assert alone.find("stranger:cnn").note == "the name 'cnn' is medplug's own; use stranger:cnn"
    with pytest.raises(PluginError, match=r"'cnn' alone is not enough; say stranger:cnn; installed: stranger:cnn$"):
        alone.find("cnn")


def test_strangers_that_offer_one_name_are_each_reachable(site: SitePackages) -> None:
    site.model("alpha", "lung")
    site.model("beta", "lung")

    host = discover()

    assert {offer.distribution for offer in host.offers if offer.name == "lung"} == {"alpha", "beta"}
    assert host.find("beta:lung").note == "several distributions offer 'lung'; use beta:lung"
    with pytest.raises(PluginError, match="'lung' alone is not enough; say alpha:lung or beta:lung; installed: "):
        host.find("lung")


def test_an_unknown_name_is_answered_with_what_there_is(site: SitePackages) -> None:
    site.model("alpha", "lung-nodule")
    host = discover(only="alpha")

    with pytest.raises(PluginError, match=r"^no model named 'x'; installed: lung-nodule$"):
        host.find("x")
    with pytest.raises(PluginError, match="no model named 'lung-nodul'; did you mean 'lung-nodule'; installed"):
        host.find("lung-nodul")
    with pytest.raises(PluginError, match="no model named 'beta:lung-nodule'"):
        host.find("beta:lung-nodule")


@pytest.mark.parametrize("name", ["lung", "far-away", "far-away:whatever"])
def test_a_name_in_quarantine_is_answered_with_the_reason(site: SitePackages, name: str) -> None:
    site.install("far-away", "import nowhere_to_be_found", points="lung = far_away")

    with pytest.raises(PluginError, match=r"far-away:lung is in quarantine: .*nowhere_to_be_found"):
        discover().find(name)


def test_one_distribution_can_be_asked_alone(site: SitePackages) -> None:
    site.model("Alpha_One", "alpha")
    site.install("beta", "raise AssertionError('must not be imported')")

    host = discover(only="alpha.one")

    assert [offer.qualified for offer in host.offers] == ["alpha-one:alpha"]
    assert host.quarantined == ()
    assert "beta" not in sys.modules
    with pytest.raises(PluginError, match="no plugin distribution 'gamma' is installed; installed: alpha-one, beta"):
        discover(only="gamma")


def test_a_distribution_that_lies_on_the_path_twice_counts_once(site: SitePackages) -> None:
    site.model("alpha", "first")
    site.model("alpha", "second", where="shadowed")
    shadowed = site.path / "shadowed" / "alpha-1.0.dist-info" / "METADATA"
    shadowed.write_text(shadowed.read_text().replace("Version: 1.0", "Version: 2.0"))
    sys.path.insert(1, str(site.path / "shadowed"))  # undone with the path that the fixture has put in
    (site.path / "alpha-1.0.dist-info" / "entry_points.txt").write_text("[medplug]\na = alpha\na = alpha\n")

    host = discover()

    assert names(host, "alpha") == ["first"]
    assert host.find("first").distribution_version == "1.0"
    assert "alpha" not in [plugin.distribution for plugin in host.quarantined]


def test_one_module_is_one_plugin(site: SitePackages) -> None:
    site.model("alpha", "alpha")
    site.model("beta", "beta", points="plugin = alpha")

    assert "alpha is already the plugin alpha:plugin" in reason(discover(), "beta")


def test_a_stranger_cannot_take_a_module_of_medplugs_own(site: SitePackages) -> None:
    site.model("alpha", "alpha", points="plugin = medplug_cnn")

    host = discover()

    assert "medplug_cnn is already the plugin medplug:cnn" in reason(host, "alpha")
    assert host.find("cnn").distribution == "medplug"


def test_a_hook_that_this_medplug_lacks_may_be_optional(site: SitePackages) -> None:
    later = "@medplug.hookimpl(optionalhook=True)\ndef medplug_image_sent(): pass"
    site.install("ahead", GOOD.format(name="ahead") + later)

    assert names(discover(), "ahead") == ["ahead"]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("entry_points.txt", "[medplug]\nno value\n", "unreadable metadata"),
        ("METADATA", "Name: alpha\n", "its metadata lacks a version"),
        ("entry_points.txt", "[medplug]\nplugin = 1 2 3\n", "1 2 3 cannot be imported"),
    ],
)
def test_damaged_metadata_is_quarantined(site: SitePackages, file: str, text: str, expected: str) -> None:
    site.model("alpha", "alpha")
    site.model("healthy", "healthy")
    (site.path / "alpha-1.0.dist-info" / file).write_text(text)

    host = discover()

    assert expected in reason(host, "alpha")
    assert names(host, "healthy") == ["healthy"]


def test_a_distribution_without_a_name_is_named_as_such(site: SitePackages) -> None:
    site.model("alpha", "alpha")
    (site.path / "alpha-1.0.dist-info" / "METADATA").write_text("Version: 1.0\n")

    assert "a distribution without a name declares plugins" in reason(discover(), "unnamed")


def test_an_observer_that_raises_is_reported_once_and_asked_no_more(
    site: SitePackages, caplog: pytest.LogCaptureFixture
) -> None:
    observer = "import medplug\nseen = []\n@medplug.hookimpl\ndef medplug_case_done(result):\n    seen.append(result)\n"
    site.install("steady", observer)
    site.install("crashing", observer + "    raise SystemExit('no disk')\n")
    host = discover()

    with caplog.at_level(logging.WARNING):
        host.notify("medplug_case_done", result="first")
        host.notify("medplug_case_done", result="second")

    assert sys.modules["steady"].seen == ["first", "second"]
    assert sys.modules["crashing"].seen == ["first"]
    assert [record.getMessage() for record in caplog.records] == [
        "the plugin crashing:plugin failed in medplug_case_done and is asked no more: SystemExit: no disk"
    ]


def test_an_observer_that_raises_in_two_threads_at_once_is_reported_once(
    site: SitePackages, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
    import threading
    import medplug
    both = threading.Barrier(2, timeout=30)

    @medplug.hookimpl
    def medplug_case_done(result):
        both.wait()
        raise ValueError("no disk")
    """
    site.install("crashing", source)
    host = discover(only="crashing")

    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(2) as pool:
        told = [pool.submit(host.notify, "medplug_case_done", result="one") for _ in range(2)]

    assert [future.result() for future in told] == [None, None]
    assert len(caplog.records) == 1


def test_an_observer_takes_only_the_arguments_that_it_wants(site: SitePackages) -> None:
    site.install(
        "observer",
        """
        import medplug
        seen = []

        @medplug.hookimpl
        def medplug_run_finished(skipped, model):
            seen.append((model, skipped))

        @medplug.hookimpl(specname="medplug_run_started")
        def hello():
            seen.append("hello")
        """,
    )
    host = discover()

    host.notify("medplug_run_started", model="cnn", sources=("a.dcm",))
    host.notify("medplug_run_finished", model="cnn", answered=1, refused=2, skipped=3)

    assert sys.modules["observer"].seen == ["hello", ("cnn", 3)]
    assert {name for name in dir(host.hook) if name.startswith("medplug_")} >= {"medplug_run_finished"}


def test_plugins_register_sources_and_writers(site: SitePackages) -> None:
    site.install(
        "formats",
        """
        import medplug

        class Reader:
            def accepts(self, source): return False
            def read(self, source, unit): return iter(())

        from medplug.writers import Writer

        class PlainText(Writer):
            name = "plain-text"
            def write(self, answer): pass
            def close(self): pass
            def discard(self): pass

        @medplug.hookimpl
        def medplug_register_sources(): return (Reader(),)

        @medplug.hookimpl
        def medplug_register_writers(): yield PlainText
        """,
    )

    host = discover(only="formats")

    assert [type(source).__name__ for source in host.sources()] == ["Reader"]
    assert [writer.name for writer in host.writers()] == ["plain-text"]
    assert host.offers == ()


def test_of_two_plugins_whose_writers_have_one_name_the_second_is_set_aside(site: SitePackages) -> None:
    for distribution in ("beta", "alpha"):
        site.install(
            distribution,
            """
            import medplug
            from medplug.writers import JsonLines

            class Sheet(JsonLines):
                name = "sheet"

            @medplug.hookimpl
            def medplug_register_writers(): return [Sheet]
            """,
        )

    host = discover()

    assert [writer.__module__ for writer in host.writers() if writer.name == "sheet"] == ["alpha"]
    assert reason(host, "beta") == "Sheet.name is 'sheet', which is that of alpha.Sheet; give the writer another name"
    assert [writer.__module__ for writer in discover(only="beta").writers()] == ["beta"]


def test_a_strangers_entry_points_that_are_no_text_harm_nothing_but_themselves(site: SitePackages) -> None:
    site.model("healthy", "healthy")
    site.install("latin", "")
    (site.path / "latin-1.0.dist-info" / "entry_points.txt").write_bytes(
        "[console_scripts]\nété = latin:a".encode("latin1")
    )

    host = discover()

    assert names(host, "healthy") == ["healthy"]
    assert "unreadable metadata: UnicodeDecodeError" in reason(host, "latin")


def test_standard_output_is_whole_after_two_threads_have_discovered_at_once(site: SitePackages) -> None:
    source = """
    import threading
    import medplug
    busy = threading.Event()

    @medplug.hookimpl
    def medplug_register_writers():
        busy.set()
        threading.Event().wait(0.3)
        raise ValueError("slow")
    """
    site.install("slow", source)
    before = sys.stdout

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(discover, only="slow")
        while not (seen := getattr(sys.modules.get("slow"), "busy", None)) or not seen.wait(0.01):
            assert not first.done()
        second = pool.submit(discover, only="slow")
        assert reason(first.result(), "slow") == reason(second.result(), "slow")

    assert sys.stdout is before


def test_what_a_plugin_prints_stays_out_of_the_results(site: SitePackages, capsys: pytest.CaptureFixture[str]) -> None:
    site.install("chatty", "print('hello from the import')" + GOOD.format(name="chatty"))

    assert discover().find("chatty")
    printed = capsys.readouterr()

    assert printed.out == ""
    assert "hello from the import" in printed.err


def test_offers_come_in_one_order(site: SitePackages) -> None:
    for distribution, name in [("zeta", "b-model"), ("eta", "a-model"), ("alpha", "b-model")]:
        site.model(distribution, name)

    offers = [offer.qualified for offer in discover().offers if offer.distribution != "medplug"]

    assert offers == ["eta:a-model", "alpha:b-model", "zeta:b-model"]


def test_the_command_that_lists_plugins_survives_what_they_say(site: SitePackages) -> None:
    site.install("bracketed", "raise ValueError('a tag [/b] and [red]')")

    ran = subprocess.run(
        [sys.executable, "-c", "from medplug.cli import main; main(['plugins'])"],
        env={**os.environ, "PYTHONPATH": str(site.path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "bracketed cannot be imported: ValueError: a tag [/b] and [red]" in " ".join(ran.stdout.split())


def test_discovery_does_not_import_torch() -> None:
    script = """
    import json, sys
    from medplug.plugins import discover
    host = discover()
    print(json.dumps({"offers": [offer.qualified for offer in host.offers], "torch": "torch" in sys.modules,
                      "quarantined": [str(plugin) for plugin in host.quarantined]}))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=120
    )

    found = json.loads(ran.stdout)

    assert {"medplug:autoencoder", "medplug:cnn", "medplug:gan"} <= set(found["offers"]), found["quarantined"]
    assert found["torch"] is False


def test_the_names_that_are_kept_for_medplugs_own_writers_are_theirs():
    from medplug.hookspecs import OWN_WRITERS
    from medplug.writers import builtin

    assert set(OWN_WRITERS) == set(builtin())
