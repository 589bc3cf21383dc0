import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import GoldenRetriever from '@uppy/golden-retriever'
import { serve } from '../page.js'

serve({ Uppy, AwsS3, GoldenRetriever }, (grant) => ({ endpoint: grant }))
