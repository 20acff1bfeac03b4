// Shells that web servers offer or that call home, and what fetches them.

rule ReverseShell_Script
{
    meta:
        description = "A command that gives a shell to whoever waits at an address"
        date = "2026-11-24"
    strings:
        $bash = /\b(ba|da|z|k)?sh\s+-i\s{0,4}[0-9]?>&?\s{0,4}\/dev\/(tcp|udp)\/[0-9A-Za-z.-]{3,253}\/[0-9]{1,5}/ ascii
        $descriptor = /exec\s+[0-9]{1,3}<>\s{0,4}\/dev\/tcp\/[0-9]{1,3}\.[0-9.]{5,11}\/[0-9]{1,5}[^\n]{0,80}\b(ba|da|z|k)?sh\b/ ascii
        $nc = /\bnc(at)?\s+(-[a-z]{1,6}\s+){0,3}-[a-z]{0,4}e\s+\/bin\/(ba|da)?sh\s+[0-9A-Za-z.-]{3,253}\s+[0-9]{1,5}/ ascii
        $nc_address = /\bnc(at)?\s+(-[a-z]{1,6}\s+){0,3}[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\s+[0-9]{1,5}\s+-[a-z]{0,4}e\s+\/bin\/(ba|da)?sh/ ascii
        $fifo = /\b(ba|da|z|k)?sh\s+-i\s{0,4}2>&1\s{0,4}\|\s{0,4}nc(at)?\s+[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\s+[0-9]{1,5}/ ascii
        $python = /\.connect\(\([^)]{5,260}\)\)\s{0,4};\s{0,4}(\[?\s{0,4}os\.dup2\([^)]{1,20}\([^)]{0,4}\)\s{0,4},\s{0,4}[0-9]|os\.dup2)/ ascii
    condition:
        filesize < 256KB and any of them
}

rule Cron_Runs_Download
{
    meta:
        description = "A crontab line that runs what it downloads"
        date = "2026-11-24"
    strings:
        $line = /(^|\n)(@(reboot|hourly|daily)|[0-9*,\/-]{1,20}\s+[0-9*,\/-]{1,20}\s+[0-9*,\/-]{1,20}\s+[0-9*,\/-]{1,20}\s+[0-9*,\/-]{1,20})\s[^\n]{0,120}\b(curl|wget)\s[^\n|]{1,300}\|\s{0,4}(\/bin\/|\/usr\/bin\/)?(ba|da)?sh\b/ ascii
    condition:
        filesize < 64KB and $line
}

rule WebShell_ASP
{
    meta:
        description = "ASP or ASP.NET that runs what a request says"
        date = "2026-11-24"
    strings:
        $run = /<%[^%]{0,200}\b(eval|execute)\s{0,4}\(?\s{0,4}request\s{0,4}(\.\s{0,4}(item|form|querystring)\s{0,4})?[\[(]/ ascii nocase
    condition:
        filesize < 1MB and $run
}
