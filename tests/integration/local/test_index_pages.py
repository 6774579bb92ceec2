"""Pages and files as installers ask for them: forms, names, access, what comes from upstream."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from glue_pkgmgr.core.simple_api import HTML_TYPE, JSON_TYPE
from tests.integration.local.made_distributions import sdist, sha256, wheel
from tests.integration.local.package_service import ACCOUNT, DOMAIN, Service, error_code, running_service
from tests.integration.local.upstream_index import Fault, UpstreamIndex, running_upstream

JSON = {"Accept": JSON_TYPE}
SIX = "simple/six/1.16.0/six-1.16.0-py3-none-any.whl"
PAYLOAD = bytes(range(256)) * 8192  # 2 MiB: more than one chunk, so that a break is seen midway


@pytest.fixture
def upstream() -> Iterator[UpstreamIndex]:
    with running_upstream() as index:
        index.add(wheel("six", "1.16.0", payload=b"#" * 100 + b"\n"))
        index.add(sdist("six", "1.16.0"))
        index.add(wheel("six", "1.17.0"), yanked="broken", requires_python=">=3.9,<4")
        yield index


@pytest.fixture
def service(tmp_path: Path, upstream: UpstreamIndex) -> Iterator[Service]:
    with running_service(tmp_path) as running:
        running.usual_repositories(upstream)
        yield running


def held(service: Service, repository: str, project: str = "six") -> list[str]:
    """Return the versions that `repository` itself holds."""
    try:
        told = service.client.list_package_versions(
            domain=DOMAIN, repository=repository, format="pypi", package=project
        )
    except service.client.exceptions.ResourceNotFoundException:
        return []
    return [version["version"] for version in told["versions"]]


def restrict(service: Service, repository: str, project: str, *, publish: str, upstream: str) -> None:
    service.client.put_package_origin_configuration(
        domain=DOMAIN,
        repository=repository,
        format="pypi",
        package=project,
        restrictions={"publish": publish, "upstream": upstream},
    )


class TestPage:
    def test_json_tells_what_upstream_tells(self, service: Service, upstream: UpstreamIndex) -> None:
        answer = service.get("open", "simple/six/", headers=JSON)
        assert answer.headers["Content-Type"] == JSON_TYPE
        page = answer.json()
        assert page["meta"] == {"api-version": "1.1"}
        assert (page["name"], page["versions"]) == ("six", ["1.16.0", "1.17.0"])
        files = {file["filename"]: file for file in page["files"]}
        filename, content = wheel("six", "1.17.0")
        assert files[filename] == {
            "filename": filename,
            "url": f"1.17.0/{filename}",
            "hashes": {"sha256": sha256(content)},
            "requires-python": ">=3.9,<4",
            "size": len(content),
            "upload-time": "2024-05-29T15:37:49.123456Z",
            "yanked": "broken",
        }
        assert len(files) == 3

    def test_html_has_hash_python_time_and_yank(self, service: Service) -> None:
        answer = service.get("open", "simple/six/", headers={"Accept": "text/html"})
        assert answer.headers["Content-Type"].startswith("text/html")
        filename, content = wheel("six", "1.17.0")
        assert f'href="1.17.0/{filename}#sha256={sha256(content)}"' in answer.text
        assert 'data-requires-python="&gt;=3.9,&lt;4"' in answer.text
        assert 'data-yanked="broken"' in answer.text
        assert 'data-upload-time="2024-05-29T15:37:49.123456Z"' in answer.text

    @pytest.mark.parametrize(
        ("accept", "given"),
        [
            (JSON_TYPE, JSON_TYPE),
            ("application/vnd.pypi.simple.latest+json", JSON_TYPE),
            (HTML_TYPE, HTML_TYPE),
            ("*/*", "text/html"),
            (f"text/html;q=0.1, {JSON_TYPE}", JSON_TYPE),
        ],
    )
    def test_the_form_is_the_one_accepted(self, service: Service, accept: str, given: str) -> None:
        answer = service.get("open", "simple/six/", headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith(given)
        assert answer.headers["Vary"] == "Accept"

    @pytest.mark.parametrize("accept", ["application/json", "application/vnd.pypi.simple.v2+json", "image/png"])
    def test_another_form_is_406(self, service: Service, accept: str) -> None:
        assert service.get("open", "simple/six/", headers={"Accept": accept}).status_code == 406

    def test_there_is_no_list_of_projects(self, service: Service) -> None:
        assert service.get("open", "simple/").status_code == 404
        assert service.get("open", "").status_code in (404, 405)

    def test_there_are_no_separate_metadata_files(self, service: Service) -> None:
        assert service.get("open", f"{SIX}.metadata").status_code == 404

    def test_another_spelling_leads_to_the_normalised_page(self, service: Service) -> None:
        answer = service.get("open", "simple/SIX/", headers=JSON, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (301, "../six/")
        assert service.get("open", "simple/SIX/", headers=JSON).json()["name"] == "six"
        assert service.get("open", "simple/six", headers=JSON).json()["name"] == "six"

    def test_an_unchanged_page_is_304(self, service: Service) -> None:
        etag = service.get("open", "simple/six/", headers=JSON).headers["ETag"]
        again = service.get("open", "simple/six/", headers={**JSON, "If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")

    def test_head_has_no_body(self, service: Service) -> None:
        answer = requests.head(service.endpoint("open") + "simple/six/", auth=("aws", service.token()), timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0

    @pytest.mark.parametrize("name", ["no-such", "%2e%2e", "a%2fb", "-x-", "é", "a" * 300])
    def test_an_unknown_or_impossible_project_is_404(self, service: Service, name: str) -> None:
        assert service.get("open", f"simple/{name}/").status_code == 404

    def test_an_html_upstream_without_hashes_serves_as_well(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        upstream.html = True
        for served in upstream.projects["six"].values():
            served.sha256 = None
        assert "#sha256" not in service.get("open", "simple/six/").text
        assert service.get("open", SIX).content == wheel("six", "1.16.0", payload=b"#" * 100 + b"\n")[1]
        page = service.get("open", "simple/six/", headers=JSON).json()
        hashes = {file["filename"]: file["hashes"] for file in page["files"]}
        assert hashes["six-1.16.0.tar.gz"]["sha256"] == sha256(
            upstream.projects["six"]["six-1.16.0.tar.gz"].content
        )

    def test_a_changed_yank_is_seen_on_a_held_release(self, service: Service, upstream: UpstreamIndex) -> None:
        assert service.get("open", SIX).ok
        upstream.projects["six"]["six-1.16.0-py3-none-any.whl"].yanked = "late"
        service.passed = timedelta(minutes=2)
        files = service.get("open", "simple/six/", headers=JSON).json()["files"]
        yanked = {file["filename"]: file["yanked"] for file in files}
        assert yanked["six-1.16.0-py3-none-any.whl"] == "late"

    def test_credentials_of_the_upstream_are_used_and_not_told(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        upstream.user = "reader"
        service.source = upstream.source
        page = service.get("open", "simple/six/", headers=JSON)
        assert page.ok
        assert "secret-password" not in page.text
        assert service.get("open", SIX).ok
        upstream.user = "another"
        refused = service.get("open", "simple/other/")
        assert refused.status_code == 502
        assert "secret-password" not in refused.text


class TestFile:
    def test_a_file_is_brought_in_kept_in_the_right_repositories_and_fetched_once(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        content = wheel("six", "1.16.0", payload=b"#" * 100 + b"\n")[1]
        assert service.get("open", SIX).content == content
        assert service.get("open", SIX).content == content
        assert upstream.requests["six-1.16.0-py3-none-any.whl"] == 1
        assert held(service, "open") == held(service, "pypi-store") == ["1.16.0"]
        assert held(service, "approved") == []

    def test_repositories_in_the_middle_keep_nothing(self, service: Service) -> None:
        service.client.create_repository(
            domain=DOMAIN, repository="farthest", upstreams=[{"repositoryName": "open"}]
        )
        assert service.get("farthest", SIX).ok
        assert held(service, "farthest") == held(service, "pypi-store") == ["1.16.0"]
        assert held(service, "open") == []

    def test_a_part_can_be_asked_for_before_and_after_the_file_is_here(self, service: Service) -> None:
        content = wheel("six", "1.16.0", payload=b"#" * 100 + b"\n")[1]
        for _ in range(2):
            answer = service.get("open", SIX, headers={"Range": "bytes=-100"})
            assert (answer.status_code, answer.content) == (206, content[-100:])
        assert service.get("open", SIX, headers={"Range": "bytes=10-19"}).content == content[10:20]
        assert service.get("open", SIX, headers={"Range": "bytes=999999-"}).status_code == 416

    def test_head_tells_the_size_and_brings_nothing_in(self, service: Service, upstream: UpstreamIndex) -> None:
        answer = requests.head(service.endpoint("open") + SIX, auth=("aws", service.token()), timeout=10)
        size = len(wheel("six", "1.16.0", payload=b"#" * 100 + b"\n")[1])
        assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, size)
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert held(service, "open") == []
        assert upstream.requests["six-1.16.0-py3-none-any.whl"] == 0

    def test_an_unchanged_file_is_304(self, service: Service) -> None:
        assert service.get("open", SIX).ok
        etag = service.get("open", SIX).headers["ETag"]
        assert service.get("open", SIX, headers={"If-None-Match": etag}).status_code == 304

    @pytest.mark.parametrize(
        "path",
        [
            "simple/six/1.16.0/../../../../../packages.sqlite",
            "simple/six/1.16.0/%2e%2e%2f%2e%2e%2fpackages.sqlite",
            "simple/six/..%2f..%2f/packages.sqlite",
            "simple/six/1.16.0/..%5c..%5cpackages.sqlite",
            "simple/six/9.9/six-1.16.0-py3-none-any.whl",
            "simple/six/1.16.0/%00",
        ],
    )
    def test_no_path_leads_elsewhere(self, service: Service, path: str) -> None:
        auth = base64.b64encode(f"aws:{service.token()}".encode()).decode()
        url = service.endpoint("open") + path
        prepared = requests.Request("GET", url, headers={"Authorization": f"Basic {auth}"}).prepare()
        prepared.url = url  # requests would resolve the dots itself
        with requests.Session() as session:
            assert session.send(prepared, timeout=10).status_code == 404

    def test_many_at_once_make_one_fetch(self, service: Service, upstream: UpstreamIndex) -> None:
        made = wheel("big", "1.0", payload=PAYLOAD)
        upstream.add(made)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: service.get("open", f"simple/big/1.0/{made[0]}"), range(8)))
        assert {sha256(answer.content) for answer in answers} == {sha256(made[1])}
        assert upstream.requests[made[0]] == 1

    def test_bytes_are_passed_on_while_upstream_is_still_sending(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        made = wheel("big", "1.0", payload=PAYLOAD)
        upstream.add(made)
        upstream.faults[made[0]] = "pause midway"
        with service.get("open", f"simple/big/1.0/{made[0]}", stream=True) as answer:
            first = answer.raw.read(len(made[1]) // 4)
            assert first == made[1][: len(first)]
            assert not upstream.released.is_set()
            upstream.released.set()
            assert first + answer.raw.read() == made[1]

    def test_a_fetch_goes_on_when_its_client_leaves(self, service: Service, upstream: UpstreamIndex) -> None:
        made = wheel("big", "1.0", payload=PAYLOAD)
        upstream.add(made)
        upstream.faults[made[0]] = "pause midway"
        path = f"simple/big/1.0/{made[0]}"
        with service.get("open", path, stream=True) as answer:
            assert answer.raw.read(1000) == made[1][:1000]
        upstream.released.set()
        assert service.get("open", path).content == made[1]
        assert upstream.requests[made[0]] == 1


class TestAccess:
    def test_bearer_and_basic_open_every_repository_of_the_domain(self, service: Service) -> None:
        token = service.token()
        for repository in ("open", "pypi-store"):
            url = f"{service.endpoint(repository)}simple/six/"
            assert requests.get(url, auth=("aws", token), timeout=10).ok
            assert requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).ok

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "Basic",
            "Basic !!!",
            "Bearer ",
            "Bearer wrong",
            "Negotiate x",
            "Basic " + base64.b64encode(b"aws:wrong").decode(),
            "Basic " + base64.b64encode(b"\xff\xfe").decode(),
            "Bearer " + "x" * 30_000,
        ],
    )
    def test_anything_else_is_401(self, service: Service, authorization: str | None) -> None:
        headers = {"Authorization": authorization} if authorization else {}
        for method in ("GET", "HEAD"):
            answer = requests.request(
                method, service.endpoint("open") + "simple/six/", headers=headers, timeout=10
            )
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")

    def test_the_user_is_aws(self, service: Service) -> None:
        url = service.endpoint("open") + "simple/six/"
        assert requests.get(url, auth=("somebody", service.token()), timeout=10).status_code == 401

    def test_a_token_ends_when_it_says(self, service: Service) -> None:
        token = service.client.get_authorization_token(domain=DOMAIN, durationSeconds=900)["authorizationToken"]
        url = service.endpoint("open") + "simple/six/"
        service.passed = timedelta(seconds=890)
        assert requests.get(url, auth=("aws", token), timeout=10).ok
        service.passed = timedelta(seconds=901)
        assert requests.get(url, auth=("aws", token), timeout=10).status_code == 401
        assert requests.get(service.endpoint("open") + SIX, auth=("aws", token), timeout=10).status_code == 401

    def test_a_token_of_another_domain_does_not_open(self, service: Service) -> None:
        service.client.create_domain(domain="other")
        token = service.client.get_authorization_token(domain="other")["authorizationToken"]
        url = service.endpoint("open") + "simple/six/"
        assert requests.get(url, auth=("aws", token), timeout=10).status_code == 401

    def test_a_wrong_owner_in_the_path_is_404(self, service: Service) -> None:
        url = (service.endpoint("open") + "simple/six/").replace(ACCOUNT, "999999999999")
        assert requests.get(url, auth=("aws", service.token()), timeout=10).status_code == 404


class TestControls:
    def test_upstream_block_hides_what_is_upstream(self, service: Service) -> None:
        restrict(service, "open", "six", publish="BLOCK", upstream="BLOCK")
        assert service.get("open", "simple/six/").status_code == 404
        assert service.get("open", SIX).status_code == 404
        assert service.get("pypi-store", "simple/six/").status_code == 200

    def test_a_published_project_is_closed_to_the_public_one_of_the_same_name(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        assert service.upload("open", wheel("glueutils", "0.2.0")).ok
        upstream.add(wheel("glueutils", "99.0"))
        page = service.get("open", "simple/glueutils/", headers=JSON).json()
        assert page["versions"] == ["0.2.0"]

    def test_a_project_brought_in_is_closed_to_publishing(self, service: Service) -> None:
        assert service.get("open", SIX).ok
        answer = service.upload("open", wheel("six", "2.0"))
        assert answer.status_code == 403
        assert "publish=BLOCK" in answer.text

    def test_an_archived_version_hides_the_same_one_further_up(self, service: Service) -> None:
        assert service.get("pypi-store", SIX).ok
        service.client.update_package_versions_status(
            domain=DOMAIN,
            repository="pypi-store",
            format="pypi",
            package="six",
            versions=["1.16.0"],
            targetStatus="Archived",
        )
        assert service.get("open", "simple/six/", headers=JSON).json()["versions"] == ["1.17.0"]
        assert service.get("open", SIX).status_code == 404

    def test_files_added_upstream_later_are_picked_up_unless_published_by_hand(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        assert service.get("open", SIX).ok
        restrict(service, "open", "patched", publish="ALLOW", upstream="ALLOW")
        assert service.upload("open", wheel("patched", "1.0")).ok
        late = "six-1.16.0-py2-none-any.whl"
        upstream.add((late, wheel("six", "1.16.0")[1]))
        upstream.add(sdist("patched", "1.0"))
        service.passed = timedelta(minutes=2)
        assert late in service.get("open", "simple/six/").text
        assert service.get("open", f"simple/six/1.16.0/{late}").ok
        assert "patched-1.0.tar.gz" not in service.get("open", "simple/patched/").text

    def test_upstreams_are_searched_in_their_order(self, service: Service) -> None:
        client = service.client
        for name, payload in (("first", b"# 1\n"), ("second", b"# 2\n")):
            client.create_repository(domain=DOMAIN, repository=name)
            assert service.upload(name, wheel("shared", "1.0", payload=payload)).ok
        for order in (["first", "second"], ["second", "first"]):
            client.update_repository(
                domain=DOMAIN, repository="approved", upstreams=[{"repositoryName": name} for name in order]
            )
            page = service.get("approved", "simple/shared/", headers=JSON).json()
            wanted = wheel("shared", "1.0", payload=b"# 1\n" if order[0] == "first" else b"# 2\n")[1]
            assert [file["hashes"]["sha256"] for file in page["files"]] == [sha256(wanted)]

    def test_at_most_25_repositories_are_searched(self, service: Service) -> None:
        names = [f"r{number:02}" for number in range(26)]
        below: list[dict[str, str]] = []
        for name in reversed(names):
            service.client.create_repository(domain=DOMAIN, repository=name, upstreams=below)
            below = [{"repositoryName": name}]
        assert service.upload("r24", wheel("reached", "1.0")).ok
        assert service.upload("r25", wheel("beyond", "1.0")).ok
        assert service.get("r00", "simple/reached/").status_code == 200
        assert service.get("r00", "simple/beyond/").status_code == 404

    def test_an_internal_version_reached_upstream_leaves_the_way_open_for_the_next(self, service: Service) -> None:
        upstreams = [{"repositoryName": "approved"}]
        service.client.create_repository(domain=DOMAIN, repository="team", upstreams=upstreams)
        for version in ("0.1", "0.2"):
            made = wheel("glueutils", version)
            assert service.upload("approved", made).ok
            assert service.get("team", f"simple/glueutils/{version}/{made[0]}").content == made[1]
        assert held(service, "team", "glueutils") == ["0.1", "0.2"]


class TestFaultyUpstream:
    @pytest.mark.parametrize("fault", ["error", "lie"])
    def test_a_bad_page_is_502_and_not_remembered(
        self, service: Service, upstream: UpstreamIndex, fault: Fault
    ) -> None:
        upstream.faults["six"] = fault
        assert service.get("open", "simple/six/").status_code == 502
        assert service.get("open", SIX).status_code == 502
        del upstream.faults["six"]
        assert service.get("open", "simple/six/").status_code == 200

    def test_a_machine_without_an_index_is_told_so(self, service: Service) -> None:
        assert service.get("open", "simple/six/").ok  # so that the page is known, and the file is not
        service.source = None
        service.passed = timedelta(seconds=30)
        for path in ("simple/other/", SIX):
            answer = service.get("open", path)
            assert answer.status_code == 502
            assert "no index" in answer.text

    def test_a_silent_upstream_is_504(self, tmp_path: Path, upstream: UpstreamIndex) -> None:
        upstream.faults["six"] = "silence"
        with running_service(tmp_path, upstream_timeout=0.5) as service:
            service.usual_repositories(upstream)
            assert service.get("open", "simple/six/").status_code == 504

    def test_what_was_brought_in_stays_available_while_upstream_is_down(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        assert service.get("open", SIX).ok
        upstream.faults["six"] = "error"
        service.passed = timedelta(minutes=2)
        assert service.get("open", "simple/six/", headers=JSON).json()["versions"] == ["1.16.0"]
        assert service.get("open", SIX).ok
        # Not "no such file": nobody can tell.
        assert service.get("open", SIX.replace("1.16.0", "1.17.0")).status_code == 502

    def test_a_connection_that_breaks_once_is_taken_up_where_it_broke(
        self, service: Service, upstream: UpstreamIndex
    ) -> None:
        made = wheel("big", "1.0", payload=PAYLOAD)
        upstream.add(made)
        upstream.faults[made[0]] = "cut once"
        assert service.get("open", f"simple/big/1.0/{made[0]}").content == made[1]
        assert upstream.requests[made[0]] == 2

    @pytest.mark.parametrize("fault", ["truncate", "lie", "error"])
    def test_a_bad_file_never_arrives_whole_and_is_not_kept(
        self, service: Service, upstream: UpstreamIndex, fault: Fault
    ) -> None:
        made = wheel("big", "1.0", payload=PAYLOAD)
        upstream.add(made)
        upstream.faults[made[0]] = fault
        path = f"simple/big/1.0/{made[0]}"
        try:
            answer = service.get("open", path)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            pass  # it broke off: fewer bytes than announced
        else:
            assert answer.status_code == 502
        assert not list((service.folder / "blobs").glob("*/*"))
        assert not list((service.folder / "incoming").iterdir())
        del upstream.faults[made[0]]
        assert service.get("open", path).content == made[1]

    def test_a_lie_about_a_small_file_is_told_in_words(self, service: Service, upstream: UpstreamIndex) -> None:
        upstream.faults["six-1.16.0-py3-none-any.whl"] = "lie"
        answer = service.get("open", SIX)
        assert answer.status_code == 502
        assert "its page promises" in answer.text
        which: dict[str, Any] = {
            "domain": DOMAIN,
            "repository": "open",
            "format": "pypi",
            "package": "six",
            "packageVersion": "1.16.0",
        }
        code = error_code(lambda: service.client.list_package_version_assets(**which))
        assert code == "InternalServerException"

    def test_a_file_that_upstream_lists_but_lost_is_404(self, service: Service, upstream: UpstreamIndex) -> None:
        upstream.faults["six-1.16.0-py3-none-any.whl"] = "gone"
        answer = service.get("open", SIX)
        assert answer.status_code == 404
        assert "no longer has it" in answer.text
