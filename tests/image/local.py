"""`make local-lambda`: the HTTP handler behind Amazon's runtime client, as Lambda runs it, on this machine.

    python -m tests.image.local [PORT]

It uses the embedded AWS of `make run`, which runs in another terminal, or the one that AWS_ENDPOINT_URL names. Linux.
"""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.image.runtime import RuntimeFailedError, content_of, request_event, runtime_api


def main(port: int) -> None:
    here = f"http://127.0.0.1:{port}"
    one_at_a_time = threading.Lock()  # as an environment of Lambda's does it
    with runtime_api() as function:
        lambdas = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{function.port}", "LOCAL": "true", "PUBLIC_URL": here}
        command = [sys.executable, "-m", "awslambdaric", "recorder_project.wsgi.lambda_handler"]
        client = subprocess.Popen(command, env={**os.environ, **lambdas})

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                event = request_event(self.command, self.path, headers, body)
                try:
                    with one_at_a_time:
                        answer = function.invoke(event)
                except RuntimeFailedError as error:
                    answer = {"statusCode": 502, "body": f"{error}\n"}
                content = content_of(answer)
                self.send_response(answer["statusCode"])
                for name, value in answer.get("headers", {}).items():
                    if name.lower() != "content-length":
                        self.send_header(name, value)
                for cookie in answer.get("cookies", []):
                    self.send_header("Set-Cookie", cookie)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

        try:
            function.started()
            with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
                print(f"Recorder behind Lambda's runtime client: {here}/", flush=True)
                server.serve_forever()
        except RuntimeFailedError as error:
            sys.exit(f"The function did not start: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            client.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
