{
  "targets": [
    {
      "target_name": "busbar",
      "sources": ["bus_module.c"],
      "cflags!": ["-O3"],
      "cflags": ["-Os", "-fno-asynchronous-unwind-tables", "-std=c11", "-Wall", "-Wextra", "-Werror",
        "-fvisibility=hidden"],
      "conditions": [
        ["OS=='linux'", {
          "sources": ["bus_linux.c", "bus_tcp_linux.c", "bus_udp_linux.c", "bus_udp_module.c"],
          "ldflags": ["-s"]
        }],
        ["OS=='mac'", { "sources": ["bus_darwin.c"] }],
        ["OS=='win'", { "sources": ["bus_windows.c"] }]
      ]
    }
  ]
}
