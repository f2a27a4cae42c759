"""A real Label Studio, once around: pre-labels in, seen in its page, submitted, exported, converted back, compared.

    python3.11 -m venv /tmp/label-studio && /tmp/label-studio/bin/pip install label-studio
    argus predict runs/mine photos/ --out found.jsonl && argus data prelabel found.jsonl labelling/
    python scripts/label_studio_round_trip.py labelling/ out/ --label-studio /tmp/label-studio/bin/label-studio

Starts the server on 127.0.0.1 with its telemetry off, in a folder of its own, and ends it. Looks at the first task with
Chromium (``apt-get install chromium``), submits the first with the page's own button and the others through the API,
writes ``page.png``, ``export.json`` and what ``argus data convert`` makes of it into ``out/``. Ends with 1 where a box
has moved by more than a tenth of a pixel, or a label has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

USER, PASSWORD, TOKEN = "annotator@example.org", "only-on-this-machine", "0123456789abcdef" * 2 + "01234567"
_QUIET = {
    "LATEST_VERSION_CHECK": "false",
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "FEATURE_FLAGS_OFFLINE": "true",
}


class Server:
    """Label Studio, answering on a free port of this machine."""

    def __init__(self, program: Path, served: Path, folder: Path, log_file: Path) -> None:
        self.log = log_file
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        local = {
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(served),
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        }
        command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(self.port)]
        command += ["--username", USER, "--password", PASSWORD, "--user-token", TOKEN]
        command += ["--enable-legacy-api-token"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=os.environ | _QUIET | local, stdout=log, stderr=log)

    def wait(self, seconds: float = 1200) -> None:
        """Until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=2)
            except (urllib.error.URLError, OSError):
                time.sleep(1)
            else:
                return
        raise SystemExit(f"Label Studio did not start, see {self.log}")

    def ask(self, path: str, body: Any = None) -> Any:
        """What it answers to a request, a POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            return json.loads(urllib.request.urlopen(request, timeout=120).read())
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read()[:2000]!r}") from None


def look(server: Server, project: int, task: int, picture: Path) -> None:
    """Opens a task as an annotator does, takes a picture of the page, and submits what is pre-labelled."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{server.address}/user/login")
        page.fill("input[name=email]", USER)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_load_state()
        page.goto(f"{server.address}/projects/{project}/data?task={task}")
        submit = page.get_by_role("button", name="Submit", exact=False).first
        submit.wait_for(timeout=120_000)
        page.wait_for_timeout(5_000)  # the picture is drawn on a canvas, of which nothing can be waited for
        page.screenshot(path=picture)
        submit.click()
        page.wait_for_timeout(5_000)
        browser.close()


def boxes_of(tasks: list[dict[str, Any]], key: str) -> dict[str, list[tuple[str, list[float]]]]:
    """Image → labels and boxes in pixels, of predictions or annotations."""
    found = {}
    for task in tasks:
        shown = []
        for region in (task[key][0]["result"]) if task[key] else []:
            value, sides = region["value"], (region["original_width"], region["original_height"])
            box = [value["x"], value["y"], value["x"] + value["width"], value["y"] + value["height"]]
            pixels = [v / 100 * side for v, side in zip(box, sides * 2, strict=True)]
            shown.append((value["rectanglelabels"][0], pixels))
        found[Path(task["data"]["image"]).name] = sorted(shown)
    return found


def main() -> None:
    """Goes once around."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prelabels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--label-studio", type=Path, required=True)
    asked = parser.parse_args()
    served = asked.prelabels.resolve()
    tasks = json.loads((served / "label-studio.json").read_text("utf-8"))
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(asked.label_studio, served, Path(folder), asked.out / "server.log")
        try:
            server.wait()
            interface = (served / "labels.xml").read_text("utf-8")
            project = server.ask("/api/projects", {"title": "argus", "label_config": interface})["id"]
            storage = {"path": str(served / "images"), "project": project, "use_blob_urls": True}
            server.ask("/api/storages/localfiles", storage)
            print("imported:", server.ask(f"/api/projects/{project}/import", tasks), file=sys.stderr)
            stored = server.ask(f"/api/tasks?project={project}&page_size=10000&fields=all")["tasks"]
            first = next(one for one in stored if one["predictions"] and one["predictions"][0]["result"])
            look(server, project, first["id"], asked.out / "page.png")
            for one in stored:
                if one["id"] != first["id"]:
                    answer = {"result": one["predictions"][0]["result"], "lead_time": 1.0}
                    server.ask(f"/api/tasks/{one['id']}/annotations", answer)
            export = server.ask(f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true")
        finally:
            server.process.terminate()
            server.process.wait(30)
    shutil.copytree(served / "images", asked.out / "images", dirs_exist_ok=True)
    (asked.out / "export.json").write_text(json.dumps(export, indent=1), encoding="utf-8")
    limits = ["--min-pixels", "3136", "--max-pixels", "235200", "--val-fraction", "0.2", "--overwrite"]
    command = [sys.executable, "-m", "argusvl", "data", "convert", "label-studio", asked.out / "export.json"]
    done = subprocess.run([*map(str, command), str(asked.out / "back"), *limits], check=False)
    before, after = boxes_of(tasks, "predictions"), boxes_of(export, "annotations")
    moved = 0.0
    for name, shown in before.items():
        if [label for label, _ in shown] != [label for label, _ in after[name]]:
            raise SystemExit(f"{name}: labels differ")
        for (_, one), (_, other) in zip(shown, after[name], strict=True):
            moved = max([moved, *(abs(a - b) for a, b in zip(one, other, strict=True))])
    total = sum(map(len, after.values()))
    print(f"{len(after)} tasks, {total} boxes; none moved by more than {moved:.2g} pixels")
    raise SystemExit(done.returncode or int(moved > 0.1))


if __name__ == "__main__":
    main()
