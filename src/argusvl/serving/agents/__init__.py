"""``argus mcp``: tools for agents, by the Model Context Protocol.

``folders`` confines paths, ``workplace`` is what a tool may reach, ``general`` and ``recognition`` the tools of no
task, ``worker`` the process in which all run for a limited time, ``server`` the protocol.
"""
