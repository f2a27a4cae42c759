"""``argus mcp``: tools for agents, by the Model Context Protocol.

``folders`` confines paths, ``workplace`` is what a tool may reach, ``tools`` the table of tools, ``worker`` the process
in which they run for a limited time, ``server`` the protocol.
"""
