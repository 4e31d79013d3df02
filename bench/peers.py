"""The same work for each proxy: plain HTTP/1.1 in on loopback, a credential on, TLS 1.3 with verification out, one worker.

`{folder}`, `{port}`, `{tls}`, `{http2}` and `{plain}` (the origin's ports) and `{authorization}` are filled in.
"""

ORIGIN_TLS, ORIGIN_HTTP2, ORIGIN_PLAIN, ORIGIN_UPLOADS = 19443, 19444, 19080, 19081
USER, PASSWORD = "acc_key", "s3cr3t-value"

ORIGIN = """
user root; worker_processes 1; pid {folder}/origin.pid; error_log {folder}/origin.err crit; daemon off;
events {{ worker_connections 8000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=100;
  keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 64m; client_body_buffer_size 4m;
  client_body_temp_path {folder}/o1; proxy_temp_path {folder}/o2; fastcgi_temp_path {folder}/o3; uwsgi_temp_path {folder}/o4;
  scgi_temp_path {folder}/o5;
  # Whoever does not put the credential on is not measured. HMAC is dated: only that it is there.
  map $http_authorization $refused {{ default 1; "{authorization}" 0; "~^hmac username=.{user}." 0; }}
  server {{
    listen 127.0.0.1:{tls} ssl; listen 127.0.0.1:{http2} ssl http2; listen 127.0.0.1:{plain};
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key; ssl_protocols TLSv1.3;
    root {folder}/www;
    if ($refused) {{ return 401; }}
    location = /upload {{ proxy_pass http://127.0.0.1:{uploads}; proxy_http_version 1.1; }}
    location = /bench/upload {{ proxy_pass http://127.0.0.1:{uploads}; proxy_http_version 1.1; }}
    location /bench/ {{ alias {folder}/www/; }}
  }}
  server {{ listen 127.0.0.1:{uploads}; location / {{ return 200 "ok"; }} }}
}}
"""

SIDEKEY = """
[server]
workers = {workers}

[listen.bench]
address = "127.0.0.1:{port}"

[upstream.bench]
url = "https://localhost:{tls}"
tls = {{ ca_file = "{folder}/ca.pem" }}
auth.basic = {{ username = "file:{folder}/user", password = "file:{folder}/password" }}

[upstream.http2]
url = "https://localhost:{http2}"
tls = {{ ca_file = "{folder}/ca.pem" }}
auth.basic = {{ username = "file:{folder}/user", password = "file:{folder}/password" }}

[upstream.signed]
url = "https://localhost:{tls}"
tls = {{ ca_file = "{folder}/ca.pem" }}
auth.hmac = {{ username = "file:{folder}/user", secret = "file:{folder}/password" }}
"""

NGINX = """
user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit; daemon off;
events {{ worker_connections 8000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 64m;
  client_body_temp_path {folder}/n1; proxy_temp_path {folder}/n2; fastcgi_temp_path {folder}/n3; uwsgi_temp_path {folder}/n4;
  scgi_temp_path {folder}/n5;
  upstream origin {{ server 127.0.0.1:{tls}; keepalive 256; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location /bench/ {{
      proxy_pass https://origin/; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header Connection ""; proxy_set_header Host localhost; proxy_set_header Authorization "{authorization}";
      proxy_ssl_verify on; proxy_ssl_trusted_certificate {folder}/ca.pem; proxy_ssl_name localhost;
      proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;
    }}
  }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend bench
  bind 127.0.0.1:{port}
  http-request set-header Authorization "{authorization}"
  http-request set-header Host localhost
  http-request replace-path /bench/(.*) /\\1
  default_backend origin
backend origin
  server origin 127.0.0.1:{tls} ssl verify required ca-file {folder}/ca.pem sni str(localhost) verifyhost localhost \
ssl-min-ver TLSv1.3 pool-max-conn 256
"""

# No HTTP and no TLS: the bytes are only passed on. What is left is the kernel's share of any proxy's work.
FLOOR = """
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
listen bench
  bind 127.0.0.1:{port}
  server origin 127.0.0.1:{plain}
"""

CADDY = """
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
http://127.0.0.1:{port} {{
  handle_path /bench/* {{
    reverse_proxy https://localhost:{tls} {{
      header_up Host localhost
      header_up Authorization "{authorization}"
      transport http {{
        tls_trusted_ca_certs {folder}/ca.pem
        versions 1.1
        keepalive_idle_conns_per_host 256
      }}
    }}
  }}
}}
"""

ENVOY = """
static_resources:
  secrets:
  - name: credential
    generic_secret: {{ secret: {{ inline_string: "{authorization}" }} }}
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: bench
              domains: ["*"]
              routes:
              - match: {{ prefix: "/bench/" }}
                route: {{ cluster: origin, prefix_rewrite: "/", host_rewrite_literal: localhost, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.credential_injector
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector
              overwrite: true
              credential:
                name: envoy.http.injected_credentials.generic
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic
                  credential: {{ name: credential }}
                  header: Authorization
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: origin
    type: STATIC
    circuit_breakers:
      thresholds: [ {{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }} ]
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {tls} }} }} }}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }}
          validation_context: {{ trusted_ca: {{ filename: {folder}/ca.pem }} }}
"""

# Name: port, config and its file, and the command.
PEERS = {
    "sidekey": (19105, SIDEKEY, "sidekey.toml", ["{binary}", "run", "--config", "{file}"]),
    "nginx": (19101, NGINX, "nginx.conf", ["nginx", "-p", "{folder}", "-c", "{file}"]),
    "haproxy": (19102, HAPROXY, "haproxy.cfg", ["haproxy", "-db", "-f", "{file}"]),
    "envoy": (19103, ENVOY, "envoy.yaml",
              ["envoy", "--config-path", "{file}", "--concurrency", "1", "-l", "error", "--disable-hot-restart"]),
    "caddy": (19104, CADDY, "Caddyfile",
              ["env", "GOMAXPROCS=1", "HOME={folder}", "caddy", "run", "--config", "{file}", "--adapter", "caddyfile"]),
    "floor": (19106, FLOOR, "floor.cfg", ["haproxy", "-db", "-f", "{file}"]),
}
