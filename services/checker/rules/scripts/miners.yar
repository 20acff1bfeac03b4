// Cryptocurrency miners: what is found most often in public images that somebody meant harm by.

rule Miner_Configuration
{
    meta:
        description = "A miner's configuration: pools, a wallet, an algorithm"
        date = "2026-11-24"
    strings:
        $pools = /"pools"\s{0,8}:/ ascii
        $donate = /"donate-level"\s{0,8}:/ ascii
        $url = /"url"\s{0,8}:\s{0,8}"[^"\s]{4,200}:[0-9]{2,5}"/ ascii
        $user = /"user"\s{0,8}:\s{0,8}"[0-9A-Za-z.+_-]{34,200}"/ ascii
    condition:
        filesize < 64KB and $pools and $donate and $url and $user
}

rule Miner_Start
{
    meta:
        description = "A script, unit or crontab that starts a miner with a pool and a wallet"
        date = "2026-11-29"
    strings:
        $command = /[\s"'=](-o|--url)[ =]{1,4}(stratum\+(tcp|ssl|tls):\/\/)?[a-z0-9][a-z0-9.-]{3,80}:[0-9]{2,5}\s[^\n]{0,200}(-u|--user)[ =]{1,4}[0-9A-Za-z][0-9A-Za-z.+_-]{33,200}/ ascii
    condition:
        filesize < 256KB and $command
}
