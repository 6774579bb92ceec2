"""What the pre-installed releases of each Glue version require: `project: requirement requirement …`.

Generated from `preinstalled.py` and the metadata of its releases; do not edit. To make it anew:
`python -m tools.preinstalled_requirements`. Environment markers are decided for the Glue version; requirements of
extras are left out, and so are projects that require nothing. Old metadata do not say `numpy<2`: it is added where
a wheel was compiled before there was a NumPy 2. Of the releases in `UNKNOWN` the index has no file.

Source: NumPy's guide for downstream authors (compiled for NumPy 1 does not run with NumPy 2).
"""

from __future__ import annotations

REQUIREMENTS: dict[str, str] = {
    "3.0": """
        aiobotocore: aiohttp>=3.3.1 aioitertools>=0.5.1 botocore<1.20.107,>=1.20.106 wrapt>=1.10.10
        aiohttp: aiosignal>=1.1.2 async-timeout<5.0,>=4.0.0a3 asynctest==0.13.0 attrs>=17.3.0
            charset-normalizer<3.0,>=2.0 frozenlist>=1.1.1 multidict<7.0,>=4.5 typing-extensions>=3.7.4
            yarl<2.0,>=1.0
        aioitertools: typing-extensions>=4.0
        aiosignal: frozenlist>=1.1.0
        async-timeout: typing-extensions>=3.6.5
        boto3: botocore<1.22.0,>=1.21.50 jmespath<1.0.0,>=0.7.1 s3transfer<0.6.0,>=0.5.0
        botocore: jmespath<1.0.0,>=0.7.1 python-dateutil<3.0.0,>=2.1 urllib3<1.27,>=1.25.4
        click: importlib-metadata
        cycler: six
        importlib-metadata: typing-extensions>=3.6.4 zipp>=0.5
        matplotlib: cycler>=0.10 kiwisolver>=1.0.1 numpy<2,>=1.16 pillow>=6.2.0 pyparsing>=2.2.1
            python-dateutil>=2.7
        nltk: click joblib regex tqdm
        pandas: numpy<2,>=1.17.3 python-dateutil>=2.7.3 pytz>=2017.3
        patsy: numpy>=1.4 six
        pmdarima: cython!=0.29.18,>=0.29 joblib>=0.11 numpy~=1.19.0 pandas>=0.19 scikit-learn>=0.22 scipy>=1.3.2
            setuptools!=50.0.0,>=38.6.0 statsmodels!=0.12.0,>=0.11 urllib3
        pyarrow: numpy<2,>=1.16.6
        pyhocon: pyparsing>=2.0.3
        python-dateutil: six>=1.5
        requests: certifi>=2017.4.17 chardet<4,>=3.0.2 idna<3,>=2.5 urllib3!=1.25.0,!=1.25.1,<1.26,>=1.21.1
        s3fs: aiobotocore~=1.4.0 fsspec==2021.08.1
        s3transfer: botocore<2.0a.0,>=1.12.36
        scikit-learn: joblib>=0.11 numpy<2,>=1.13.3 scipy>=0.19.1 threadpoolctl>=2.0.0
        scipy: numpy<1.23.0,>=1.16.5
        statsmodels: numpy<2,>=1.15 pandas>=0.21 patsy>=0.5 scipy>=1.1
        sympy: mpmath>=0.19
        tbats: numpy pmdarima scikit-learn scipy
        yarl: idna>=2.0 multidict>=4.0 typing-extensions>=3.7.4
    """,
    "4.0": """
        aiobotocore: aiohttp>=3.3.1 aioitertools>=0.5.1 botocore<1.27.60,>=1.27.59 wrapt>=1.10.10
        aiohttp: aiosignal>=1.1.2 async-timeout<5.0,>=4.0.0a3 attrs>=17.3.0 charset-normalizer<3.0,>=2.0
            frozenlist>=1.1.1 multidict<7.0,>=4.5 yarl<2.0,>=1.0
        aiosignal: frozenlist>=1.1.0
        boto3: botocore<1.28.0,>=1.27.59 jmespath<2.0.0,>=0.7.1 s3transfer<0.7.0,>=0.6.0
        botocore: jmespath<2.0.0,>=0.7.1 python-dateutil<3.0.0,>=2.1 urllib3<1.27,>=1.25.4
        cycler: six
        importlib-metadata: zipp>=0.5
        matplotlib: cycler>=0.10 kiwisolver>=1.0.1 numpy<2,>=1.16 pillow>=6.2.0 pyparsing>=2.2.1
            python-dateutil>=2.7
        nltk: click joblib regex>=2021.8.3 tqdm
        pandas: numpy<2,>=1.21.0 python-dateutil>=2.8.1 pytz>=2020.1
        patsy: numpy>=1.4 six
        plotly: packaging tenacity>=6.2.0
        pmdarima: cython!=0.29.18,!=0.29.31,>=0.29 joblib>=0.11 numpy<2,>=1.21 pandas>=0.19 scikit-learn>=0.22
            scipy>=1.3.2 setuptools!=50.0.0,>=38.6.0 statsmodels>=0.13.2 urllib3
        pyarrow: numpy<2,>=1.16.6
        pyhocon: pyparsing>=2.0.3
        python-dateutil: six>=1.5
        requests: certifi>=2017.4.17 chardet<4,>=3.0.2 idna<3,>=2.5 urllib3!=1.25.0,!=1.25.1,<1.26,>=1.21.1
        s3fs: aiobotocore~=2.4.0 aiohttp!=4.0.0a0,!=4.0.0a1 fsspec==2022.11.0
        s3transfer: botocore<2.0a.0,>=1.12.36
        scikit-learn: joblib>=1.0.0 numpy<2,>=1.17.3 scipy>=1.3.2 threadpoolctl>=2.0.0
        scipy: numpy<1.26.0,>=1.18.5
        statsmodels: numpy<2,>=1.17 packaging>=21.3 pandas>=0.25 patsy>=0.5.2 scipy>=1.3
        sympy: mpmath>=0.19
        tbats: numpy pmdarima scikit-learn scipy
        yarl: idna>=2.0 multidict>=4.0
    """,
    "5.0": """
        aiobotocore: aiohttp<4.0.0,>=3.9.2 aioitertools<1.0.0,>=0.5.1 botocore<1.34.132,>=1.34.70
            wrapt<2.0.0,>=1.10.10
        aiohttp: aiohappyeyeballs>=2.3.0 aiosignal>=1.1.2 attrs>=17.3.0 frozenlist>=1.1.1 multidict<7.0,>=4.5
            yarl<2.0,>=1.0
        aiosignal: frozenlist>=1.1.0
        boto3: botocore<1.35.0,>=1.34.131 jmespath<2.0.0,>=0.7.1 s3transfer<0.11.0,>=0.10.0
        botocore: jmespath<2.0.0,>=0.7.1 python-dateutil<3.0.0,>=2.1 urllib3!=2.2.0,<3,>=1.25.4
        contourpy: numpy>=1.20
        matplotlib: contourpy>=1.0.1 cycler>=0.10 fonttools>=4.22.0 kiwisolver>=1.3.1 numpy>=1.23 packaging>=20.0
            pillow>=8 pyparsing>=2.3.1 python-dateutil>=2.7
        pandas: numpy>=1.23.2 python-dateutil>=2.8.2 pytz>=2020.1 tzdata>=2022.7
        plotly: packaging tenacity>=6.2.0
        pyarrow: numpy>=1.16.6
        python-dateutil: six>=1.5
        requests: certifi>=2017.4.17 charset-normalizer<4,>=2 idna<4,>=2.5 urllib3<3,>=1.21.1
        s3fs: aiobotocore<3.0.0,>=2.5.4 aiohttp!=4.0.0a0,!=4.0.0a1 fsspec==2024.6.1.*
        s3transfer: botocore<2.0a.0,>=1.33.2
        seaborn: matplotlib!=3.6.1,>=3.4 numpy!=1.24.0,>=1.20 pandas>=1.2
        virtualenv: appdirs<2,>=1.4.3 distlib<1,>=0.3.1 filelock<4,>=3.0.0 six<2,>=1.9.0
        yarl: idna>=2.0 multidict>=4.0
    """,
    "5.1": """
        aiobotocore: aiohttp<4.0.0,>=3.9.2 aioitertools<1.0.0,>=0.5.1 botocore<1.40.62,>=1.40.46
            jmespath<2.0.0,>=0.7.1 multidict<7.0.0,>=6.0.0 python-dateutil<3.0.0,>=2.1 wrapt<2.0.0,>=1.10.10
        aiohttp: aiohappyeyeballs>=2.5.0 aiosignal>=1.4.0 attrs>=17.3.0 frozenlist>=1.1.1 multidict<7.0,>=4.5
            propcache>=0.2.0 yarl<2.0,>=1.17.0
        aiosignal: frozenlist>=1.1.0 typing-extensions>=4.2
        boto3: botocore<1.41.0,>=1.40.61 jmespath<2.0.0,>=0.7.1 s3transfer<0.15.0,>=0.14.0
        botocore: jmespath<2.0.0,>=0.7.1 python-dateutil<3.0.0,>=2.1 urllib3!=2.2.0,<3,>=1.25.4
        choreographer: logistro>=2.0.0 simplejson>=3.19.3
        contourpy: numpy>=1.25
        kaleido: choreographer>=1.1.1 logistro>=1.0.8 orjson>=3.10.15 packaging pytest-timeout>=2.4.0
        matplotlib: contourpy>=1.0.1 cycler>=0.10 fonttools>=4.22.0 kiwisolver>=1.3.1 numpy>=1.23 packaging>=20.0
            pillow>=8 pyparsing>=3 python-dateutil>=2.7
        pandas: numpy>=1.23.2 python-dateutil>=2.8.2 pytz>=2020.1 tzdata>=2022.7
        plotly: narwhals>=1.15.1 packaging
        pytest: iniconfig>=1 packaging>=20 pluggy<2,>=1.5 pygments>=2.7.2
        pytest-timeout: pytest>=7.0.0
        python-dateutil: six>=1.5
        requests: certifi>=2017.4.17 charset-normalizer<4,>=2 idna<4,>=2.5 urllib3<3,>=1.21.1
        s3fs: aiobotocore<3.0.0,>=2.5.4 aiohttp!=4.0.0a0,!=4.0.0a1 fsspec==2025.10.0
        s3transfer: botocore<2.0a.0,>=1.37.4
        seaborn: matplotlib!=3.6.1,>=3.4 numpy!=1.24.0,>=1.20 pandas>=1.2
        virtualenv: distlib<1,>=0.3.7 filelock<4,>=3.12.2 platformdirs<5,>=3.9.1
        yarl: idna>=2.0 multidict>=4.0 propcache>=0.2.1
    """,
    "6.0": """
        aiobotocore: aiohttp<4.0.0,>=3.12.0 aioitertools<1.0.0,>=0.5.1 botocore<1.42.85,>=1.42.79
            jmespath<2.0.0,>=0.7.1 multidict<7.0.0,>=6.0.0 python-dateutil<3.0.0,>=2.1 wrapt<3.0.0,>=1.10.10
        aiohttp: aiohappyeyeballs>=2.5.0 aiosignal>=1.4.0 attrs>=17.3.0 frozenlist>=1.1.1 multidict<7.0,>=4.5
            propcache>=0.2.0 yarl<2.0,>=1.17.0
        aiosignal: frozenlist>=1.1.0
        boto3: botocore<1.43.0,>=1.42.84 jmespath<2.0.0,>=0.7.1 s3transfer<0.17.0,>=0.16.0
        botocore: jmespath<2.0.0,>=0.7.1 python-dateutil<3.0.0,>=2.1 urllib3!=2.2.0,<3,>=1.25.4
        choreographer: logistro>=2.0.1 simplejson>=3.19.3
        contourpy: numpy>=1.25
        googleapis-common-protos: protobuf<8.0.0,>=4.25.8
        grpcio: typing-extensions~=4.12
        grpcio-status: googleapis-common-protos>=1.5.5 grpcio>=1.81.0 protobuf<8.0.0,>=6.33.5
        kaleido: choreographer>=1.1.1 logistro>=1.0.8 orjson>=3.10.15 packaging pytest-timeout>=2.4.0
        matplotlib: contourpy>=1.0.1 cycler>=0.10 fonttools>=4.22.0 kiwisolver>=1.3.1 numpy>=1.23 packaging>=20.0
            pillow>=8 pyparsing>=3 python-dateutil>=2.7
        pandas: numpy>=1.26.0 python-dateutil>=2.8.2 pytz>=2020.1 tzdata>=2022.7
        plotly: narwhals>=1.15.1 packaging
        pytest: iniconfig>=1.0.1 packaging>=22 pluggy<2,>=1.5 pygments>=2.7.2
        pytest-timeout: pytest>=7.0.0
        python-dateutil: six>=1.5
        python-discovery: filelock>=3.15.4 platformdirs<5,>=4.3.6
        requests: certifi>=2023.5.7 charset-normalizer<4,>=2 idna<4,>=2.5 urllib3<3,>=1.26
        s3fs: aiobotocore<4.0.0,>=2.19.0 aiohttp!=4.0.0a0,!=4.0.0a1,>=3.9.0 fsspec==2026.3.0
        s3transfer: botocore<2.0a.0,>=1.37.4
        seaborn: matplotlib!=3.6.1,>=3.4 numpy!=1.24.0,>=1.20 pandas>=1.2
        virtualenv: distlib<1,>=0.3.7 filelock<4,>=3.24.2 platformdirs<5,>=3.9.1 python-discovery>=1
        yarl: idna>=2.0 multidict>=4.0 propcache>=0.2.1
    """,
}

UNKNOWN: dict[str, str] = {
    "3.0": """
        spark==1.0
    """,
    "4.0": "",
    "5.0": "",
    "5.1": "",
    "6.0": "",
}
