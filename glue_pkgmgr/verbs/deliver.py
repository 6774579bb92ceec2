"""How a lock reaches a job: one function for each delivery, behind one door."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import assert_never

from glue_pkgmgr.core.index_url import SHORTEST
from glue_pkgmgr.core.job import (
    Delivery,
    ModuleArguments,
    index_arguments,
    requirements_arguments,
    requirements_location,
    staged_wheel,
    wheels_arguments,
)
from glue_pkgmgr.core.lockfile import Lock, Pin, requirements_text
from glue_pkgmgr.errors import NotInstallable, RemoteError
from glue_pkgmgr.ports import Clock, Mint, OpenIndex, Staging
from glue_pkgmgr.verbs.at_once import at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The arguments that make a run install a lock, and what they leave behind.

    `secret_object` is the `s3://` URL of a requirements file with a token in it. `minted_at` and
    `token_expires` (aware UTC) are None when the run needs no token.
    """

    arguments: ModuleArguments
    token_expires: datetime | None = None
    minted_at: datetime | None = None
    secret_object: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverer:
    """Brings locks to where a job can install them from."""

    mint: Mint
    open_index: OpenIndex
    staging: Staging
    clock: Clock

    def deliver(self, lock: Lock, delivery: Delivery, folder: str, life: timedelta) -> Delivered:
        """Return the arguments for `delivery`. `folder` is an `s3://` URL ending in `/`, `life` the token's.

        Raises: RemoteError; IndexAccessError; NotInstallable when the repository's bytes are not the lock's.
        """
        if not lock.installed:  # all of it is in the image
            return Delivered(arguments=ModuleArguments(""))
        match delivery:
            case Delivery.WHEELS:
                return Delivered(arguments=wheels_arguments(self._stage_wheels(lock, folder)))
            case Delivery.REQUIREMENTS:
                return self._requirements(lock, folder, life)
            case Delivery.INDEX:
                return self._index(lock, life)
            case _:
                assert_never(delivery)

    def withdraw(self, delivered: Delivered) -> None:
        """Delete what holds a secret. Raises: RemoteError."""
        if delivered.secret_object:
            self.staging.delete(delivered.secret_object)

    def _requirements(self, lock: Lock, folder: str, life: timedelta) -> Delivered:
        # Minted last: the token's clock runs while the cluster starts, so nothing slow stands between.
        url, minted_at = self.mint(life), self.clock()
        location = requirements_location(folder, secrets.token_hex(16))
        try:
            self.staging.put(location, requirements_text(lock, url.reveal()).encode())
        except BaseException:
            # A write that was cut off may have arrived all the same.
            with suppress(RemoteError):
                self.staging.delete(location)
            raise
        return Delivered(
            arguments=requirements_arguments(location),
            token_expires=url.token.expires_at,
            minted_at=minted_at,
            secret_object=location,
        )

    def _index(self, lock: Lock, life: timedelta) -> Delivered:
        url, minted_at = self.mint(life), self.clock()
        pins = [str(pin) for pin in lock.installed]
        return Delivered(
            arguments=index_arguments(pins, url.reveal()), token_expires=url.token.expires_at, minted_at=minted_at
        )

    def _stage_wheels(self, lock: Lock, folder: str) -> list[str]:
        """Store the best wheel of every release under its hash, checked, and return the S3 locations.

        What is there already is not brought again, and where all of it is, no token is minted.
        """
        pins = lock.installed
        locations = [staged_wheel(folder, pin.files[0]) for pin in pins]
        sizes = at_once(self.staging.size, locations)
        absent = [
            (pin, location)
            for pin, location, size in zip(pins, locations, sizes, strict=True)
            if size is None or size != pin.files[0].size
        ]
        if absent:
            self._bring(absent)
        return locations

    def _bring(self, wheels: Sequence[tuple[Pin, str]]) -> None:
        """Store the best wheel of each pin at its location."""
        index = self.open_index(self.mint(SHORTEST))
        with tempfile.TemporaryDirectory(prefix="glue-pkgmgr-") as scratch:
            for pin, location in wheels:
                best = pin.files[0]
                page = index.page(pin.project)
                links = [file.url for file in page.files if file.filename == best.filename] if page else []
                if not links:
                    raise NotInstallable(
                        f"the approved repository does not list {best.filename}; run `glue-pkgmgr mirror sync`"
                    )
                wheel = Path(scratch) / best.filename
                index.download(links[0], wheel, best.sha256)
                self.staging.put_file(location, wheel)
